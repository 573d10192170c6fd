"""`oneshotseg propagate --dry-run`: the cases and what is not used, as a table on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from OneShotSegLib.imaging.inputs import LeftOut, lines, summary
from OneShotSegLib.runner.planning import Plan, PlannedCase

HEAD: Sequence[str] = ("Case", "Grid", "Spacing, mm", "Region (header)", "State", "CT")


def print_plan(plan: Plan) -> None:
    """Print what a run would do."""
    for line in table_lines([HEAD, *map(_row, plan.cases)]):
        print(line)
    for case in plan.cases:
        if case.problem:
            print(f"{case.case}: {case.problem}")
        for note in case.notes:
            print(f"{case.case}: {note}.")
    for line in not_used(plan.left_out):
        print(line)
    for warning in plan.warnings:
        print(warning)
    if plan.revision:
        print(plan.revision)
    print(plan.text)


def not_used(left_out: Sequence[LeftOut]) -> list[str]:
    """What is not used, for people: a summary, and a line for each as far as there are few of a kind."""
    return [f"Not used: {summary(left_out)}.", *(f"  {line}" for line in lines(left_out))] if left_out else []


def _row(case: PlannedCase) -> Sequence[str]:
    grid = " x ".join(str(extent) for extent in reversed(case.size))
    spacing = " x ".join(f"{step:.3g}" for step in reversed(case.spacing))
    return (case.case, grid or "-", spacing or "-", case.region or "-", case.state, str(case.source))


def table_lines(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """The lines of a table, as wide as its texts: a path that lacks its end is none."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
