"""How far a run is: what the progress bars show."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from OneShotSegLib.events import Event
from OneShotSegLib.interface.i18n import tr as _

NOTEWORTHY = 0.005
"""Two scores that differ by less look the same in the table."""


@dataclass(kw_only=True)
class RunProgress:
    """Filled by events.

    Attributes:
        clock: Seconds.
        total: Number of cases.
        done: Names of the cases done.
        failed: Name and sentence of those that failed.
        changed: Name to the scores before and after, of those whose result was replaced.
        case: The case under way.
        step: Its step.
        fraction: How far the case is, 0-1.
        resumed: How many of the cases done were done by an earlier run.
        case_seconds_left: Seconds left of the case by the child's own estimate, below 0 if it gives none.
    """

    clock: Callable[[], float] = time.monotonic
    total: int = 0
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    changed: dict[str, tuple[float, float]] = field(default_factory=dict)
    case: str = ""
    step: str = ""
    fraction: float = 0.0
    resumed: int = 0
    case_seconds_left: float = -1.0
    _first_case: float | None = None

    def take(self, event: Event) -> None:
        """Follow one event."""
        handler = getattr(self, f"_on_{event.kind}", None)
        if handler is not None:
            handler(event)

    def _on_started(self, event: Event) -> None:
        self.total = len(event.texts("cases")) or int(event.number("total"))

    def _on_case_started(self, event: Event) -> None:
        self.case, self.step, self.fraction = event.case, "", 0.0
        self.failed.pop(event.case, None)  # it is tried again
        if self._first_case is None:
            self._first_case = self.clock()

    def _on_step(self, event: Event) -> None:
        self.case = event.case or self.case
        self.step = str(event.fields.get("step") or "")
        self.fraction = min(max(event.number("fraction"), 0.0), 1.0)
        self.case_seconds_left = event.number("seconds_left", -1.0)

    def _on_case_done(self, event: Event) -> None:
        self.done.append(event.case)
        # What an earlier run did does not count for the time that this one takes.
        self.resumed += event.fields.get("resumed") is True
        before, after = event.number("score_before", -1.0), event.number("score", -1.0)
        if before >= 0 and after >= 0:
            self.changed[event.case] = (before, after)
        self.fraction = 0.0

    def _on_case_failed(self, event: Event) -> None:
        self.failed[event.case] = str(event.fields.get("error") or _("no reason given"))
        self.fraction = 0.0

    @property
    def finished_cases(self) -> int:
        """Done or failed."""
        return len(self.done) + len(self.failed)

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the cases finished so far; None until there is one."""
        finished_now = self.finished_cases - self.resumed
        if not finished_now or self._first_case is None or not self.total:
            return None
        mean = (self.clock() - self._first_case) / finished_now
        return max(self.total - self.finished_cases, 0) * mean

    def describe(self) -> str:
        """Cases and time left, in words."""
        text = _("{count} of {total} cases").format(count=self.finished_cases, total=self.total or "?")
        left = self.seconds_left
        if left is not None and self.finished_cases < self.total:
            text += _(", about {time} left").format(time=format_seconds(left))
        return text

    def describe_changes(self) -> str:
        """What became of the scores of the cases that were recomputed, in words; '' if none was."""
        better = [pair for pair in self.changed.values() if pair[1] - pair[0] >= NOTEWORTHY]
        worse = [pair for pair in self.changed.values() if pair[0] - pair[1] >= NOTEWORTHY]
        same = len(self.changed) - len(better) - len(worse)
        parts = [
            _("{count} got better, {before:.2f} to {after:.2f}").format(**_means(better)) if better else "",
            _("{count} got worse, {before:.2f} to {after:.2f}").format(**_means(worse)) if worse else "",
            _("{count} stayed as good").format(count=same) if same else "",
        ]
        said = "; ".join(part for part in parts if part)
        text = _("Of {count} recomputed cases, {said} (mean score).").format(count=len(self.changed), said=said)
        return text if said else ""

    def describe_step(self) -> str:
        """The case and step under way, in words."""
        parts = [part for part in (self.case, self.step.replace("_", " ")) if part]
        text = ": ".join(parts)
        return (
            text
            if self.case_seconds_left < 0
            else _("{step}, {time} left").format(step=text, time=format_seconds(self.case_seconds_left))
        )


def _means(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    """How many, and the mean scores before and after."""
    before, after = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    return {"count": len(pairs), "before": before, "after": after}


def format_seconds(seconds: float) -> str:
    """A duration in the unit that people would use."""
    if seconds < 60:
        return _("{count} s").format(count=max(round(seconds), 1))
    if seconds < 5400:
        return _("{count} min").format(count=round(seconds / 60))
    return _("{count:.1f} h").format(count=seconds / 3600)
