"""A recurrent network that learns to write, character by character, from any text.

    python3 -m examples.char_rnn --root FOLDER                  tiny Shakespeare, FOLDER/text/tinyshakespeare.txt
    python3 -m examples.char_rnn --text FILE                    any other text
    python3 -m examples.char_rnn --load out/char_rnn.npz        no training, only writing

An embedding, LSTM layers and a linear layer predict the next character. The text is read in parallel streams; each
goes on where it stopped, with the state it had, and gradients go back over one stretch (truncated backpropagation
through time). The weights with their characters and a sample are left in out/.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn import functional as F


def stretches(codes: np.ndarray, streams: int, length: int) -> list[tuple[tg.Tensor, tg.Tensor]]:
    """The text in `streams` rows, cut into pieces of `length`: what is read (N, T), and what follows (N, T)."""
    rows = len(codes) // streams
    text = codes[: rows * streams].reshape(streams, rows)
    starts = range(0, rows - 1, length)
    pieces = [(text[:, i : i + length], text[:, i + 1 : i + length + 1]) for i in starts]
    return [(tg.tensor(x[:, : y.shape[1]]), tg.tensor(y)) for x, y in pieces]


def loss_of(model: nn.models.CharRNN, x: tg.Tensor, y: tg.Tensor, state: Any) -> tuple[tg.Tensor, Any]:
    """Mean surprise per character in nats, and the state for the next stretch, cut off from the graph."""
    logits, state = model(x, state)
    loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
    return loss, model.detach(state)


def train_epoch(model: nn.models.CharRNN, optimizer: nn.optim.Optimizer, pieces: list, label: str) -> float:
    """Once through the text; returns the mean loss."""
    model.train()
    mean, state = nn.train.Mean(), None
    for x, y in nn.train.progress(pieces, label):
        loss, state = loss_of(model, x, y, state)
        optimizer.zero_grad()
        loss.backward()
        nn.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        mean.update(loss, weight=y.size)
    return mean.compute()


def evaluate(model: nn.models.CharRNN, pieces: list) -> float:
    """The mean loss on a text, without learning from it."""
    model.eval()
    mean, state = nn.train.Mean(), None
    with tg.no_grad():
        for x, y in pieces:
            loss, state = loss_of(model, x, y, state)
            mean.update(loss, weight=y.size)
    return mean.compute()


def learn(options: argparse.Namespace) -> tuple[nn.models.CharRNN, float]:
    """Trains on nine tenths of the text; returns the model and the loss on the last tenth."""
    if not options.text.is_file():
        raise tg.MissingDataError(
            f"there is no text {str(options.text)!r}",
            hint="--text FILE takes any; tiny Shakespeare is data/tinyshakespeare/input.txt of karpathy/char-rnn",
        )
    text = options.text.read_text(encoding="utf-8")[: options.characters or None]
    tg.manual_seed(options.seed)
    settings = {"hidden_size": options.hidden, "num_layers": options.layers, "dropout": options.dropout}
    model = nn.models.CharRNN(text, **settings)
    codes = np.array(model.encode(text))
    cut = len(codes) * 9 // 10
    if cut < 2 * options.streams:
        raise tg.ArgumentError(f"{len(codes):,} characters are too few for {options.streams} streams")
    train_pieces = stretches(codes[:cut], options.streams, options.length)
    test_pieces = stretches(codes[cut:], min(options.streams, (len(codes) - cut) // 2), options.length)

    optimizer = nn.optim.Adam(model.parameters(), lr=options.lr)
    schedule = nn.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)
    numbers = sum(p.size for p in model.parameters())
    print(
        f"{len(text):,} characters, {len(model.alphabet)} different ones; {numbers:,} parameters; seed {options.seed}"
    )
    history, held_out, start = nn.train.History(), math.inf, time.perf_counter()
    for epoch in range(1, options.epochs + 1):
        loss = train_epoch(model, optimizer, train_pieces, f"epoch {epoch}/{options.epochs}")
        schedule.step()
        held_out = evaluate(model, test_pieces)
        history.append(epoch=epoch, loss=loss, val_loss=held_out)
        seconds = time.perf_counter() - start
        print(f"epoch {epoch}: loss {loss:.4f}, on the last tenth {held_out:.4f} nats per character, {seconds:.0f} s")
        print("   ", write(model, options, 80).replace("\n", "\n    "), flush=True)
        settings["alphabet"] = model.alphabet
        nn.save({"settings": settings, "weights": model.state_dict()}, options.out / "char_rnn.npz")
    history.plot(options.out / "char_rnn.png")
    return model, held_out


def write(model: nn.models.CharRNN, options: argparse.Namespace, length: int) -> str:
    """The prompt, and how the model goes on from it."""
    stream = tg.Generator(options.seed)  # of its own: writing in between leaves the training as it is
    return options.prompt + model.sample(options.prompt, length, options.temperature, generator=stream)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.environ.get("TENSORGRAPH_DATA")
    parser.add_argument("--root", default=root, help="folder of the data (default: $TENSORGRAPH_DATA)")
    parser.add_argument("--text", type=Path, help="what to learn from (default: ROOT/text/tinyshakespeare.txt)")
    parser.add_argument("--characters", type=int, default=0, help="so many of its characters (default: 0, all)")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the text (default: 3)")
    parser.add_argument("--hidden", type=int, default=256, help="units of every LSTM layer (default: 256)")
    parser.add_argument("--layers", type=int, default=1, help="LSTM layers (default: 1)")
    parser.add_argument("--dropout", type=float, default=0.0, help="between layers (default: 0)")
    parser.add_argument("--streams", type=int, default=32, help="rows that the text is read in (default: 32)")
    parser.add_argument("--length", type=int, default=64, help="characters that gradients go back over (default: 64)")
    parser.add_argument("--lr", type=float, default=4e-3, help="learning rate of the first epoch (default: 0.004)")
    parser.add_argument("--prompt", default="ROMEO:\n", help="what the writing begins with (default: ROMEO:)")
    parser.add_argument("--write", type=int, default=600, help="characters to write in the end (default: 600)")
    parser.add_argument("--temperature", type=float, default=0.8, help="0 the likeliest, 1 as learned (default: 0.8)")
    parser.add_argument("--load", type=Path, help="weights of an earlier run; nothing is trained")
    parser.add_argument("--seed", type=int, default=0, help="of weights and writing (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the results (default: out)")
    options = parser.parse_args(arguments)
    if options.text is None:
        options.text = Path(options.root or ".") / "text" / "tinyshakespeare.txt"
    for name, least in (("epochs", 1), ("streams", 1), ("length", 1), ("characters", 0), ("write", 0), ("seed", 0)):
        if getattr(options, name) < least:
            parser.error(f"--{name} is a whole number from {least} on")
    if options.temperature < 0 or not options.prompt:
        parser.error("--temperature is a number from 0 on, and --prompt has at least one character")
    return options


def main(arguments: list[str] | None = None) -> float | None:
    """Trains and writes; returns the loss on the last tenth of the text (None with --load)."""
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.load:
        saved = nn.load(options.load)
        model, loss = nn.models.CharRNN(**saved["settings"]), None
        model.load_state_dict(saved["weights"])
    else:
        model, loss = learn(options)
    sample = write(model, options, options.write)
    print(f"\n{sample}\n")
    (options.out / "char_rnn.txt").write_text(sample, encoding="utf-8")
    print(
        f"results in {options.out}: char_rnn.txt" + ("" if options.load else ", char_rnn.png, char_rnn.npz (weights)")
    )
    return loss


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the weights of the last whole epoch are in out/")
    except (tg.TensorgraphError, OSError) as error:
        sys.exit(f"char_rnn: {error}")
