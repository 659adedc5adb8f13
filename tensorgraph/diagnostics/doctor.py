"""`doctor(step)`: runs one training step, looks at what happened, and says what is likely wrong.

What is seen is in checkup.py, what is wrong with it in rules.py and rules_of_models.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tensorgraph.diagnostics import rules_of_models  # noqa: F401  (enters its rules into the table)
from tensorgraph.diagnostics.checkup import Checkup, is_loader, is_module, is_optimizer
from tensorgraph.diagnostics.rules import RULES, Finding
from tensorgraph.errors import ArgumentError, DtypeError, sig

__all__ = ["Report", "doctor"]


class Report:
    """What the doctor found. `findings`, in order of the rules; true when there is any; printing it shows them."""

    def __init__(self, findings: list[Finding], checked: list[str], skipped: dict[str, str], ran: str):
        self.findings, self.checked, self.skipped, self.ran = findings, checked, skipped, ran

    @property
    def names(self) -> list[str]:
        """Names of the rules that found something."""
        return list(dict.fromkeys(f.rule for f in self.findings))

    def __bool__(self) -> bool:
        return bool(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __str__(self) -> str:
        lines = [
            f"{self.ran}; {len(self.findings)} finding{'s' * (len(self.findings) != 1)} of {len(self.checked)} rules"
        ]
        for f in self.findings:
            lines.append(f"{f.rule}: {f.text}")
            if f.place is not None:
                lines.append(f"  line  {f.place.text or f.place.expression}   {f.place}")
            if f.hint:
                lines.append(f"  hint  {f.hint}")
        lines += [f"not checked: {name} ({reason})" for name, reason in self.skipped.items()]
        return "\n".join(lines)

    __repr__ = __str__


def doctor(
    step: Callable[[], Any],
    *,
    model: Any = None,
    optimizer: Any = None,
    loader: Any = None,
    silence: Iterable[str] = (),
) -> Report:
    """Runs `step()`, one whole training step, and reports what is likely wrong with it, with lines and ways out.

    The step is run once, for real: parameters move as they would. The model, the optimiser and the loader are found
    among what the function names; `model`, `optimizer`, `loader` (one or a list) say it where that fails. `silence`:
    names of rules to leave out; `tensorgraph.doctor.rules` lists all with what they look for. An error of the step is
    a finding too, and does not come out.

    Raises DtypeError for what cannot be called or is no model, optimiser, loader; ArgumentError for unknown rules.

    >>> import tensorgraph as tg
    >>> from tensorgraph import nn
    >>> model = nn.Linear(3, 1)
    >>> x, y = tg.ones(4, 3), tg.ones(4)
    >>> report = tg.doctor(lambda: nn.functional.mse_loss(model(x), y).backward(), silence=["no-step"])
    >>> "loss-broadcast" in report.names
    True
    """
    if not callable(step):
        raise DtypeError(
            f"doctor: expected a function that runs one training step, got {sig(step)}", hint="lambda: train(batch)"
        )
    silence = [silence] if isinstance(silence, str) else list(silence)
    unknown = [name for name in silence if name not in RULES]
    if unknown:
        raise ArgumentError(f"doctor: there is no rule {unknown[0]!r}", hint=f"rules: {', '.join(RULES)}")
    checkup = Checkup(step, _given("model", model, is_module), _given("optimizer", optimizer, is_optimizer),
                      _given("loader", loader, is_loader))  # fmt: skip
    checkup.run()
    findings: list[Finding] = []
    checked, skipped = [], {}
    for name, rule in RULES.items():
        if name in silence:
            continue
        reason = rule.needs(checkup)
        if reason:
            skipped[name] = reason
            continue
        checked.append(name)
        findings += rule.look(checkup)
    passes = len(checkup.passes)
    ran = f"one step: {len(checkup.seen)} operations, {passes} backward pass{'es' * (passes != 1)}"
    return Report(findings, checked, skipped, ran)


doctor.rules = {name: rule.about for name, rule in RULES.items()}  # pyright: ignore[reportFunctionMemberAccess]


def _given(what: str, value: Any, test: Callable[[Any], bool]) -> list[Any]:
    values = [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]
    for each in values:
        if not test(each):
            raise DtypeError(f"doctor: {what} is {sig(each)}, which does not behave as one")
    return values
