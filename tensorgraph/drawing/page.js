"use strict";
// Draws the graph in the element "data". The rows and their order are given; what is computed here, each time that
// something folds, are sizes and coordinates, in the same way as place.py and scene.py do it for a still picture.
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const {vertices, clusters, wires} = data, S = data.sizes;
const folded = clusters.map(c => c.folded);
const byId = id => document.getElementById(id);
const sides = vertices.map(() => []);
vertices.forEach((v, i) => { if (v.beside !== undefined) sides[v.beside].push(i); });
let boxes, whole, view = {x: 0, y: 0, scale: 1}, extent = [100, 100];

// ---- sizes and positions -----------------------------------------------------------------------------------------
const isWire = slot => slot[0] === "w";
const index = slot => +slot.slice(1);
const isOpen = slot => slot[0] === "c" && !folded[index(slot)];
const boxOf = slot => slot[0] === "v" ? vertices[index(slot)] : clusters[index(slot)].box;

function room(slot) {
  if (isWire(slot)) return {left: S.passing, right: S.passing, height: 0};
  if (!boxes.has(slot)) {
    const box = boxOf(slot), beside = slot[0] === "v" ? sides[index(slot)] : [];
    const column = Math.max(0, ...beside.map(i => vertices[i].sideWidth + S.sideGap));
    let height = Math.max(box.height, (S.sideHeight + 4) * beside.length - 4);
    if (box.count > 1) height += 2 * S.cards;
    boxes.set(slot, {left: box.width / 2 + column, right: box.width / 2, height});
  }
  return boxes.get(slot);
}

const spread = (box, i, n) => (i - (n - 1) / 2) * Math.min(16, 2 * box.right / (n + 1));

function begins(c, slot) {
  if (isWire(slot) || (c >= 0 && clusters[c].plain)) return false;
  return slot[0] === "v" || clusters[index(slot)].plain || !isOpen(slot);
}

function inside(c) {
  const {rows, links, opens, closes} = data.rows[c];
  const framed = c >= 0 && !clusters[c].plain, plain = c >= 0 && clusters[c].plain;
  const ends = endsOf(rows, links);
  const rooms = rows.map(row => row.map(slot => {
    const r = room(slot);
    return {left: r.left, right: r.right, height: r.height};
  }));
  links.forEach(([row, i, , w], k) => {
    const label = wires[w].label;
    if (label && begins(c, rows[row][i])) {
      const r = rooms[row][i];
      r.right = Math.max(r.right, ends[k][0] + data.labelWidths[label] + (wires[w].gradient ? 15 : 8));
    }
  });
  let xs = positions(rows, links, rooms, ends);
  let left = Infinity, right = -Infinity;
  rooms.forEach((row, r) => row.forEach((box, i) => {
    left = Math.min(left, xs[r][i] - box.left);
    right = Math.max(right, xs[r][i] + box.right);
  }));
  if (left > right) left = right = 0;
  if (framed) {
    left -= S.padding;
    right = Math.max(right + S.padding, left + clusters[c].header + 2 * S.padding);
  }
  const first = xs[0] && xs[0].length ? xs[0] : [0], middle = first.reduce((a, b) => a + b) / first.length;
  xs = xs.map(row => row.map(x => x - middle));
  const made = {left: middle - left, right: right - middle, xs, ends, enters: {}, leaves: {}};
  Object.assign(made, heights(c, rows, links, rooms, xs, ends, opens, closes, framed, plain));
  if (opens) rows[0].forEach((slot, i) => { if (isWire(slot)) made.enters[index(slot)] = xs[0][i]; });
  if (closes) rows.at(-1).forEach((slot, i) => { if (isWire(slot)) made.leaves[index(slot)] = xs.at(-1)[i]; });
  return made;
}

function endsOf(rows, links) {
  const incoming = new Map(), outgoing = new Map();
  const at = (map, key) => map.get(key) || map.set(key, []).get(key);
  for (const [row, i, j, w] of links) {
    at(incoming, `${row + 1} ${j}`).push([i, w]);
    const out = at(outgoing, `${row} ${i}`);
    if (!out.includes(w)) out.push(w);
  }
  incoming.forEach(list => list.sort((a, b) => a[0] - b[0] || a[1] - b[1]));
  return links.map(([row, i, j, w]) => {
    const a = rows[row][i], b = rows[row + 1][j];
    const out = outgoing.get(`${row} ${i}`), come = incoming.get(`${row + 1} ${j}`);
    const leaves = isOpen(a) ? room(a).leaves[w] || 0 : isWire(a) ? 0 : spread(room(a), out.indexOf(w), out.length);
    const enters = isOpen(b) ? room(b).enters[w] || 0 : isWire(b) ? 0
      : spread(room(b), come.findIndex(([k, v]) => k === i && v === w), come.length);
    return [leaves, enters];
  });
}

function heights(c, rows, links, rooms, xs, ends, opens, closes, framed, plain) {
  const labelled = rows.map(() => false), widest = rows.map(() => 0);
  links.forEach(([row, i, j, w], k) => {
    if (wires[w].label && begins(c, rows[row][i])) labelled[row] = true;
    widest[row] = Math.max(widest[row], Math.abs(xs[row][i] + ends[k][0] - xs[row + 1][j] - ends[k][1]));
  });
  let y = framed && !opens ? S.header : 0;
  const tops = [], tall = [];
  rooms.forEach((row, r) => {
    const height = Math.max(0, ...row.map(box => box.height));
    tops.push(y);
    tall.push(height);
    y += height;
    if (r < rows.length - 1 && !plain) {
      let gap = (labelled[r] ? S.labelGap : S.gap) + Math.min(0.07 * widest[r], 40);
      if (closes && r === rows.length - 2) gap = labelled[r] ? S.labelGap - 5 : S.borderGap;
      if (opens && r === 0) gap = framed ? S.header + 3 : S.gap;
      y += gap;
    }
  });
  return {tops, tall, height: y + (framed && !closes ? S.padding : 0)};
}

function positions(rows, links, rooms, ends) {
  const xs = rooms.map(row => apart(row.map(() => 0), row.map(() => 1), row));
  const up = rows.map(row => row.map(() => [])), down = rows.map(row => row.map(() => []));
  links.forEach(([row, i, j], k) => {
    const weight = [1, 2, 8][isWire(rows[row][i]) + isWire(rows[row + 1][j])];
    down[row][i].push([j, ends[k][1] - ends[k][0], weight]);
    up[row + 1][j].push([i, ends[k][0] - ends[k][1], weight]);
  });
  for (let sweep = 0; sweep < S.sweeps; sweep++) {
    const above = sweep % 2 === 0;
    for (let k = 0; k < rows.length; k++) {
      const row = above ? k : rows.length - 1 - k, other = above ? row - 1 : row + 1;
      if (other < 0 || other >= rows.length || !rows[row].length) continue;
      const wanted = [], weights = [];
      (above ? up : down)[row].forEach((near, i) => {
        const total = near.reduce((sum, n) => sum + n[2], 0);
        wanted.push(near.length ? near.reduce((sum, [j, d, w]) => sum + (xs[other][j] + d) * w, 0) / total : xs[row][i]);
        weights.push(total || 0.1);
      });
      xs[row] = apart(wanted, weights, rooms[row]);
    }
  }
  return xs;
}

function apart(wanted, weights, row) {
  const starts = [0];
  for (let i = 1; i < row.length; i++) {
    const thin = row[i - 1].height === 0 && row[i].height === 0;
    starts.push(starts[i - 1] + row[i - 1].right + row[i].left + (thin ? 2 : S.between));
  }
  const blocks = [];
  wanted.forEach((x, i) => {
    blocks.push([x - starts[i], weights[i], 1]);
    while (blocks.length > 1 && blocks.at(-2)[0] > blocks.at(-1)[0]) {
      const [mean, total, n] = blocks.pop(), last = blocks.at(-1);
      last[0] = (last[0] * last[1] + mean * total) / (last[1] + total);
      last[1] += total;
      last[2] += n;
    }
  });
  return blocks.flatMap(([mean, , n]) => Array(n).fill(mean)).map((x, i) => x + starts[i]);
}

// ---- the picture ---------------------------------------------------------------------------------------------------
const escaped = text => text.replace(/[&<>"]/g, c => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[c]);
const n = x => (Math.round(x * 10) / 10).toString();
const rect = (x, y, w, h, r, cls) => `<rect class="${cls}" x="${n(x)}" y="${n(y)}" width="${n(w)}" height="${n(h)}" rx="${n(r)}"/>`;
const text = (x, y, s, cls, style = "") => `<text class="${cls}" x="${n(x)}" y="${n(y)}"${style}>${escaped(s)}</text>`;
let places;  // slot -> where its box is, for tests, search and the keyboard

function draw() {
  boxes = new Map();
  places = new Map();
  for (let c = clusters.length - 1; c >= 0; c--) if (!folded[c] && seen(c)) boxes.set(`c${c}`, inside(c));
  whole = inside(-1);
  colour();
  const out = [], stack = [[-1, whole, S.margin + whole.left, S.margin]];
  while (stack.length) stack.push(...paint(out, ...stack.pop()).reverse());
  extent = [whole.left + whole.right + 2 * S.margin, whole.height + 2 * S.margin];
  byId("picture").innerHTML = out.join("");
}

function colour() {  // an overlay's scale ends at the largest number that is seen
  if (!data.legend) return;
  const open = [-1, ...clusters.keys()].filter(c => c < 0 || (!folded[c] && seen(c)));
  const slots = open.flatMap(c => data.rows[c].rows.flat()).filter(slot => !isWire(slot) && !isOpen(slot));
  const shown = slots.flatMap(slot => [boxOf(slot), ...(slot[0] === "v" ? sides[index(slot)] : []).map(i => vertices[i])])
    .filter(box => box.value > 0).sort((a, b) => a.value - b.value);
  const {colours, logarithmic} = data.legend, low = shown[0], high = shown.at(-1);
  for (const box of shown) {
    const share = !logarithmic ? box.value / high.value
      : high.value > low.value ? Math.log(box.value / low.value) / Math.log(high.value / low.value) : 0.5;
    [box.heat, box.ink] = colours[Math.round((isNaN(share) ? 1 : share) * (colours.length - 1))];
  }
  byId("low").textContent = high ? (logarithmic ? low.amount : "0") : "";
  byId("high").textContent = high ? high.amount : "nothing known";
}

function seen(c) {
  for (let p = clusters[c].parent; p >= 0; p = clusters[p].parent) if (folded[p]) return false;
  return true;
}

function paint(out, c, box, x, y) {
  const {rows} = data.rows[c], framed = c >= 0 && !clusters[c].plain, opened = [];
  if (framed) {
    const f = clusters[c], left = x - box.left, width = box.left + box.right;
    places.set(`c${c}`, [left, y, width, box.height]);
    out.push(`<g class="frame d${f.depth % 2}">`);
    for (const by of f.count > 1 ? [6, 3] : []) out.push(rect(left + by, y + by, width, box.height, 8, "back"));
    out.push(rect(left, y, width, box.height, 8, "back"));
    out.push(`<rect class="head" data-slot="c${c}" tabindex="0" role="button" aria-expanded="true" aria-label="${escaped(f.path)}" x="${n(left)}" y="${n(y)}" width="${n(width)}" height="22" rx="8"/></g>`);
  }
  links(out, c, box, x, y);
  if (framed) {
    const f = clusters[c], left = x - box.left, fill = `var(--frame${f.depth % 2})`;
    const halo = ` style="stroke:${fill};stroke-width:3px;paint-order:stroke"`;
    out.push(text(left + 10, y + 16, f.title, "name", halo), text(left + 16 + f.titleWidth, y + 16, f.kind, "kind", halo));
    if (f.count > 1) out.push(`<g class="frame">${times(f.count, x + box.right - 6, y + 4)}</g>`);
  }
  rows.forEach((row, r) => row.forEach((slot, i) => {
    if (isWire(slot)) return;
    const own = room(slot), at = [x + box.xs[r][i], y + box.tops[r] + (box.tall[r] - own.height) / 2];
    if (isOpen(slot)) opened.push([index(slot), own, ...at]);
    else paintBox(out, slot, own, ...at);
  }));
  return opened;
}

function times(count, right, y) {
  const label = `× ${count}`, width = 12 + 7 * label.length;
  return rect(right - width, y, width, 16, 8, "badge") + text(right - width / 2, y + 12, label, "badge-text");
}

function links(out, c, box, x, y) {
  const {rows, links, jumps} = data.rows[c], labels = new Map();
  const edge = (row, slot, below) => {
    const top = y + box.tops[row];
    if (isWire(slot)) return top;
    const own = isOpen(slot) ? room(slot).height : boxOf(slot).height;
    return top + (box.tall[row] + (below ? own : -own)) / 2;
  };
  const shut = slot => !isWire(slot) && !isOpen(slot);
  const wire = (w, x0, y0, y1, x2, y2, y3, from, to) => {
    const tip = to ? y3 - 5 : y3, middle = n((y1 + Math.min(y2, tip)) / 2), cls = `data-wire="${w}"`;
    const path = (by, a, b) => Math.abs(x0 - x2) < 0.05 ? `M${n(x0 + by)} ${n(a)}V${n(b)}`
      : `M${n(x0 + by)} ${n(a)}V${n(Math.max(y1, a))}C${n(x0 + by)} ${middle} ${n(x2 + by)} ${middle} ${n(x2 + by)} ${n(Math.min(y2, b))}V${n(b)}`;
    if (tip > y0) out.push(`<path class="wire" ${cls} d="${path(0, y0, tip)}"/>`);
    if (to) out.push(`<path class="tip" ${cls} d="M${n(x2)} ${n(y3)}l-3.5 -6h7Z"/>`);
    if (wires[w].gradient) {
      const start = from ? y0 + 5 : y0;
      if (y3 > start) out.push(`<path class="back-flow" d="${path(7, start, y3)}"/>`);
      if (from) out.push(`<path class="back-tip" d="M${n(x0 + 7)} ${n(y0)}l-3.5 6h7Z"/>`);
    }
  };
  links.forEach(([row, i, j, w], k) => {
    const a = rows[row][i], b = rows[row + 1][j], bottom = y + box.tops[row] + box.tall[row];
    const start = x + box.xs[row][i] + box.ends[k][0], end = x + box.xs[row + 1][j] + box.ends[k][1];
    wire(w, start, edge(row, a, true), bottom, end, y + box.tops[row + 1], edge(row + 1, b, false), shut(a), shut(b));
    const label = wires[w].label, key = `${row} ${i} ${label}`;
    if (label && begins(c, a) && !labels.has(key)) labels.set(key, text(start + (wires[w].gradient ? 12 : 5), bottom + 11, label, "label"));
  });
  for (const [row, i, last, j, w] of jumps) {
    const a = rows[row][i], b = rows[last][j], from = edge(row, a, true), to = edge(last, b, false);
    wire(w, x + box.xs[row][i], from, from, x + box.xs[last][j], to, to, shut(a), shut(b));
  }
  out.push(...labels.values());
}

function paintBox(out, slot, own, x, y) {
  const box = boxOf(slot), {width, height} = box, left = x - width / 2;
  y += (own.height - height) / 2;
  const round = data.rounds[box.kind], corner = [0, 6, height < 45 ? height / 2 : 16][round];
  places.set(slot, [left, y, width, height]);
  const style = box.heat ? ` style="fill:${box.heat}"` : "", ink = box.heat ? ` style="fill:${box.ink}"` : "";
  const folds = slot[0] === "c" ? ' aria-expanded="false"' : "";
  out.push(`<g class="box ${box.kind}${box.result && !box.heat ? " result" : ""}" data-slot="${slot}" tabindex="0" role="button"${folds} aria-label="${escaped(box.title)}">`);
  for (const by of box.count > 1 ? [6, 3] : []) out.push(rect(left + by, y + by, width, height, corner, "behind"));
  if (box.kind === "leaf") out.push(rect(left - 3, y - 3, width + 6, height + 6, corner + 3, "outline"));
  out.push(rect(left, y, width, height, corner, "main").replace("/>", `${style}/>`));
  out.push(text(x, y + 17.5, box.title, "title", ink));
  box.notes.forEach((note, i) => out.push(text(x, y + 30 + 12.5 * i, note, "note", ink)));
  if (box.count > 1) out.push(times(box.count, left + width + 12, y - 7));
  out.push("</g>");
  if (slot[0] === "v") paintSides(out, sides[index(slot)], left, y + height / 2, height);
}

function paintSides(out, list, edge, middle, height) {
  const step = S.sideHeight + 4;
  let y = middle - (step * list.length - 4) / 2;
  for (const i of list) {
    const side = vertices[i], right = edge - S.sideGap, round = data.rounds[side.kind];
    const centre = y + S.sideHeight / 2, to = Math.min(Math.max(centre, middle - height / 2 + 5), middle + height / 2 - 5);
    const by = side.gradient ? 2.5 : 0;
    places.set(`v${i}`, [right - side.sideWidth, y, side.sideWidth, S.sideHeight]);
    out.push(`<g class="box ${side.kind}" data-slot="v${i}" tabindex="0" role="button" aria-label="${escaped(side.title)}">`);
    const style = side.heat ? ` style="fill:${side.heat}"` : "", ink = side.heat ? `;fill:${side.ink}` : "";
    out.push(rect(right - side.sideWidth, y, side.sideWidth, S.sideHeight, [0, 5, S.sideHeight / 2][round], "main").replace("/>", `${style}/>`));
    out.push(text(right - side.sideWidth / 2, y + 12, side.line, "title", ` style="font-size:10px${ink}"`), "</g>");
    out.push(`<path class="wire" d="M${n(right)} ${n(centre - by)}L${n(edge - 5)} ${n(to - by)}"/><path class="tip" d="M${n(edge)} ${n(to - by)}l-6 -3.5v7Z"/>`);
    if (side.gradient) out.push(`<path class="back-flow" d="M${n(right + 5)} ${n(centre + 3)}L${n(edge)} ${n(to + 3)}"/><path class="back-tip" d="M${n(right)} ${n(centre + 3)}l6 -3.5v7Z"/>`);
    y += step;
  }
}

// ---- what is looked at ---------------------------------------------------------------------------------------------
const picture = byId("picture"), frame = byId("view");
function look() {
  const w = frame.clientWidth || 1000, h = frame.clientHeight || 700;
  picture.setAttribute("viewBox", [view.x, view.y, w / view.scale, h / view.scale].map(n).join(" "));
}
function fit() {
  const w = frame.clientWidth || 1000, h = frame.clientHeight || 700;
  const all = Math.min(w / extent[0], h / extent[1]);
  view.scale = Math.min(1.4, Math.max(all, Math.min(0.75, w / extent[0])));  // a tall graph starts readable, at its top
  view.x = (extent[0] - w / view.scale) / 2;
  view.y = extent[1] * view.scale < h ? (extent[1] - h / view.scale) / 2 : 0;
  look();
}
function zoom(by, px, py) {
  const box = frame.getBoundingClientRect();
  px = px === undefined ? box.width / 2 : px - box.left;
  py = py === undefined ? box.height / 2 : py - box.top;
  const scale = Math.min(8, Math.max(0.02, view.scale * by));
  view.x += px / view.scale - px / scale;
  view.y += py / view.scale - py / scale;
  view.scale = scale;
  look();
}
function centre(slot) {
  const at = places.get(slot);
  if (!at) return;
  view.scale = Math.max(view.scale, 0.8);
  view.x = at[0] + at[2] / 2 - frame.clientWidth / view.scale / 2;
  view.y = at[1] + at[3] / 2 - frame.clientHeight / view.scale / 2;
  look();
}

// ---- folding -------------------------------------------------------------------------------------------------------
function toggle(slot) {  // what was clicked stays where it is on the screen
  const c = index(slot), before = places.get(slot);
  folded[c] = !folded[c];
  draw();
  const after = places.get(slot) || places.get(firstInside(c));
  if (before && after) { view.x += after[0] + after[2] / 2 - before[0] - before[2] / 2; view.y += after[1] - before[1]; }
  look();
  const again = picture.querySelector(`[data-slot="${slot}"]`);
  if (again) again.focus({preventScroll: true});
}
const firstInside = c => data.rows[c].rows.flat().find(slot => !isWire(slot));
const deepest = Math.max(-1, ...clusters.map(c => c.depth));
function depth() {  // the depth from which on everything is folded
  const shut = clusters.filter((c, i) => folded[i]).map(c => c.depth);
  return shut.length ? Math.min(...shut) : deepest + 1;
}
function foldTo(d) {
  clusters.forEach((c, i) => { folded[i] = c.depth >= d; });
  draw();
  fit();
}

// ---- search --------------------------------------------------------------------------------------------------------
const things = [...vertices.map((v, i) => [`v${i}`, v]), ...clusters.map((c, i) => [`c${i}`, c.box])]
  .filter(([slot]) => slot[0] === "v" || !clusters[index(slot)].plain);
const texts = things.map(([slot, box]) => [box.title, ...box.notes, ...Object.values(box.record), box.line || "",
  slot[0] === "c" ? clusters[index(slot)].path : ""].join("\n").toLowerCase());
let hits = [], now = -1, marked = null;
function find(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  hits = words.length ? things.filter((_, i) => words.every(word => texts[i].includes(word))).map(([slot]) => slot) : [];
  const exact = slot => boxOf(slot).title.toLowerCase() === query.trim().toLowerCase() ? 0 : 1;
  hits.sort((a, b) => exact(a) - exact(b));
  now = -1;
  byId("found").textContent = words.length ? `${hits.length} found` : "";
  const list = byId("hits"), field = byId("find").getBoundingClientRect();
  list.hidden = !hits.length;
  list.style.left = `${field.left}px`;
  list.style.top = `${field.bottom + 4}px`;
  list.innerHTML = hits.slice(0, 40).map((slot, i) => {
    const box = boxOf(slot);
    return `<li data-hit="${i}">${escaped(box.title)}<small>${escaped(box.record.module || box.record.parameter || box.notes[0] || "")}</small></li>`;
  }).join("");
  return hits;
}
function go(i) {
  if (!hits.length) return;
  now = (i + hits.length) % hits.length;
  show(hits[now]);
  byId("found").textContent = `${now + 1} of ${hits.length}`;
  byId("hits").querySelectorAll("li").forEach((li, k) => li.classList.toggle("now", k === now));
}
function show(slot) {  // opens what it is folded into, and marks it
  let c = slot[0] === "v" ? vertices[index(slot)].cluster : clusters[index(slot)].parent, changed = false;
  for (; c >= 0; c = clusters[c].parent) if (folded[c]) { folded[c] = false; changed = true; }
  if (changed) draw();
  if (marked) marked.classList.remove("marked");
  marked = picture.querySelector(`[data-slot="${slot}"]`);
  if (marked) marked.classList.add("marked");
  centre(slot);
}

// ---- the record of what the pointer or the keyboard is on ----------------------------------------------------------
function tell(target, x, y) {
  const slot = target.dataset.slot, box = boxOf(slot), panel = byId("record");
  panel.innerHTML = `<b>${escaped(box.title)}</b><dl>${Object.entries(box.record).map(([k, v]) => `<dt>${escaped(k)}</dt><dd>${escaped(v)}</dd>`).join("")}</dl>`;
  panel.hidden = false;
  const {width, height} = panel.getBoundingClientRect();
  panel.style.left = `${Math.max(4, x + 16 + width > innerWidth ? x - width - 12 : x + 16)}px`;
  panel.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - height - 8))}px`;
  hot(slot, true);
}
function hot(slot, on) {
  picture.querySelectorAll(".hot").forEach(path => path.classList.remove("hot"));
  if (!on || slot[0] !== "v") return;
  wires.forEach((wire, w) => {
    if (wire.source === index(slot)) picture.querySelectorAll(`[data-wire="${w}"]`).forEach(path => path.classList.add("hot"));
  });
}
const hush = () => { byId("record").hidden = true; hot("", false); };
const slotAt = event => event.target.closest && event.target.closest("[data-slot]");

// ---- pointer and keyboard ------------------------------------------------------------------------------------------
let drag = null;
frame.addEventListener("pointerdown", e => { drag = {x: e.clientX, y: e.clientY, vx: view.x, vy: view.y, moved: false}; byId("hits").hidden = true; });
addEventListener("pointermove", e => {
  if (drag) {
    const dx = e.clientX - drag.x, dy = e.clientY - drag.y;
    if (Math.abs(dx) + Math.abs(dy) > 4) { drag.moved = true; frame.classList.add("dragged"); hush(); }
    if (drag.moved) { view.x = drag.vx - dx / view.scale; view.y = drag.vy - dy / view.scale; look(); }
    return;
  }
  const target = slotAt(e);
  if (target && frame.contains(target)) tell(target, e.clientX, e.clientY); else hush();
});
addEventListener("pointerup", e => {
  const target = drag && !drag.moved && slotAt(e);
  if (target && target.dataset.slot[0] === "c") { hush(); toggle(target.dataset.slot); }
  drag = null;
  frame.classList.remove("dragged");
});
frame.addEventListener("wheel", e => {
  e.preventDefault();
  hush();
  if (e.ctrlKey || e.metaKey) return zoom(Math.exp(-e.deltaY * 0.004), e.clientX, e.clientY);
  view.x += (e.shiftKey ? e.deltaY : e.deltaX) / view.scale;
  view.y += (e.shiftKey ? 0 : e.deltaY) / view.scale;
  look();
}, {passive: false});
frame.addEventListener("focusin", e => {
  const target = slotAt(e);
  if (!target || !target.matches(":focus-visible")) return;
  let box = target.getBoundingClientRect();
  if (box.top < 60 || box.bottom > innerHeight - 40 || box.left < 0 || box.right > innerWidth) centre(target.dataset.slot);
  box = target.getBoundingClientRect();
  tell(target, box.right, box.top);
});
const move = (dx, dy) => { view.x += dx / view.scale; view.y += dy / view.scale; look(); };
const keys = {
  "/": () => byId("find").focus(), "0": fit, "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8),
  "[": () => foldTo(Math.max(0, depth() - 1)), "]": () => foldTo(depth() + 1), d: () => byId("theme").click(),
  ArrowLeft: () => move(-60, 0), ArrowRight: () => move(60, 0), ArrowUp: () => move(0, -60), ArrowDown: () => move(0, 60),
  Escape: hush,
};
addEventListener("keydown", e => {
  if (e.target.id === "find") {
    if (e.key === "Enter" || e.key === "ArrowDown") { e.preventDefault(); go(now + (e.shiftKey ? -1 : 1)); }
    else if (e.key === "ArrowUp") { e.preventDefault(); go(now - 1); }
    else if (e.key === "Escape") { e.target.value = ""; find(""); e.target.blur(); }
    return;
  }
  if (e.altKey || e.ctrlKey || e.metaKey) return;
  if ((e.key === "Enter" || e.key === " ") && slotAt(e) && slotAt(e).dataset.slot[0] === "c") { e.preventDefault(); toggle(slotAt(e).dataset.slot); }
  else if (keys[e.key] && e.target.tagName !== "BUTTON") { e.preventDefault(); keys[e.key](); }
});
byId("find").addEventListener("input", e => find(e.target.value));
byId("hits").addEventListener("pointerdown", e => { const li = e.target.closest("li"); if (li) { e.preventDefault(); go(+li.dataset.hit); byId("hits").hidden = true; } });
byId("shallower").onclick = keys["["];
byId("deeper").onclick = keys["]"];
byId("smaller").onclick = keys["-"];
byId("larger").onclick = keys["+"];
byId("fit").onclick = fit;
byId("theme").onclick = () => {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
};
addEventListener("resize", look);
addEventListener("beforeprint", () => { picture.setAttribute("viewBox", `0 0 ${n(extent[0])} ${n(extent[1])}`); document.documentElement.dataset.before = document.documentElement.dataset.theme || ""; document.documentElement.dataset.theme = "light"; });
addEventListener("afterprint", () => { const root = document.documentElement; if (root.dataset.before) root.dataset.theme = root.dataset.before; else delete root.dataset.theme; look(); });

const foot = [data.note && escaped(data.note)];
if (data.legend) {
  const {title, colours} = data.legend, scale = colours.map(([fill]) => fill).join(",");
  foot.unshift(`<span><b>${escaped(title)}</b> <span id="low"></span><span class="scale" style="background:linear-gradient(90deg,${scale})"></span><span id="high"></span></span>`);
}
foot.push('<span class="help">click a module to fold or unfold it · drag or scroll to move · Ctrl + scroll or + − to zoom · Tab and Enter work too</span>');
byId("foot").innerHTML = foot.filter(Boolean).map(part => part.startsWith("<") ? part : `<span>${part}</span>`).join("");

// #depth=1 opens the page folded to a depth, #find=conv1 with that found; both may be given, joined by &
function obey() {
  const asked = new URLSearchParams(location.hash.slice(1));
  if (asked.has("depth")) foldTo(Math.max(0, +asked.get("depth") || 0));
  if (asked.has("find")) { byId("find").value = asked.get("find"); find(asked.get("find")); go(0); byId("hits").hidden = true; }
}
draw();
fit();
obey();
addEventListener("hashchange", obey);
window.graph = {folded, toggle, foldTo, find, go, show, places: () => places, clusters, vertices, boxOf};
})();
