"""An evaluation as tables: on the terminal and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from OneShotSegLib.evaluation.figures import (
    UNCOUNTED,
    StructureFigures,
    StructureMeans,
    means_by_structure,
    overall_means,
)
from OneShotSegLib.study.csv_table import write_table

COLUMNS = (
    "case",
    "structure",
    "label",
    "presence",
    "dice",
    "hd95_mm",
    "assd_mm",
    "reference_ml",
    "predicted_ml",
    "volume_error_ml",
    "volume_error",
)
POOR_DICE = 0.5


def write_csv(figures: Sequence[StructureFigures], path: Path) -> None:
    """Write a row for each case and structure, whole or not at all; a cell without a figure is empty."""
    write_table(path, COLUMNS, [_row(figure) for figure in figures])


def _row(figure: StructureFigures) -> dict[str, object]:
    return {
        "case": figure.case,
        "structure": figure.name,
        "label": figure.value,
        "presence": figure.presence,
        "dice": _rounded(figure.dice),
        "hd95_mm": _rounded(figure.hd95_mm),
        "assd_mm": _rounded(figure.assd_mm),
        "reference_ml": _rounded(figure.reference_ml),
        "predicted_ml": _rounded(figure.predicted_ml),
        "volume_error_ml": _rounded(figure.volume_error_ml),
        "volume_error": _rounded(figure.volume_error),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def render_tables(
    figures: Sequence[StructureFigures], labels: Mapping[int, str], notes: Sequence[str] = (), by_case: bool = True
) -> RenderableType:
    """The figures for the terminal.

    Args:
        figures: All figures.
        labels: Value and name of the structures evaluated.
        notes: Sentences that stand below the tables.
        by_case: Show Dice by case and structure too, not the means alone.
    """
    parts: list[RenderableType] = [_dice_table(figures, labels)] if by_case else []
    parts.append(_means_table(figures, labels))
    parts += [Text(note, style="dim") for note in notes]
    return Group(*parts)


def _dice_table(figures: Sequence[StructureFigures], labels: Mapping[int, str]) -> Table:
    table = Table(title="Dice", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("Case", no_wrap=True)
    for name in labels.values():
        table.add_column(Text(name), justify="right", overflow="fold")
    found = {(figure.case, figure.value): figure for figure in figures}
    for case in _cases(figures):
        table.add_row(Text(case), *(_dice_cell(found.get((case, value))) for value in labels))
    return table


def _cases(figures: Sequence[StructureFigures]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(figure.case for figure in figures))


def _dice_cell(figure: StructureFigures | None) -> Text:
    if figure is None or figure.dice is None:
        return Text("absent", style="dim")
    if figure.presence != "both":
        return Text(figure.presence, style="dim" if figure.presence in UNCOUNTED else "bold red")
    return Text(f"{figure.dice:.3f}", style="red" if figure.dice < POOR_DICE else "")


def _means_table(figures: Sequence[StructureFigures], labels: Mapping[int, str]) -> Table:
    table = Table(title=f"Means over {len(_cases(figures))} cases", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("Structure", overflow="fold", min_width=14)
    for heading in ("Dice", "HD95\nmm", "ASSD\nmm", "Volume\nerror", "Cases", "False\nneg.", "False\npos."):
        table.add_column(heading, justify="right")
    each = means_by_structure(figures, labels)
    for means in each:
        table.add_row(*_means_row(means))
    table.add_section()
    table.add_row(*_means_row(overall_means(each)), style="bold")
    return table


def _means_row(means: StructureMeans) -> list[Text]:
    error = "-" if means.volume_error is None else f"{means.volume_error:.0%}"
    return [
        Text(means.name),
        Text(_figure(means.dice, 3)),
        Text(_figure(means.hd95_mm, 1)),
        Text(_figure(means.assd_mm, 2)),
        Text(error),
        Text(str(means.cases)),
        Text(str(means.false_negatives), style="bold red" if means.false_negatives else "dim"),
        Text(str(means.false_positives), style="bold red" if means.false_positives else "dim"),
    ]


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
