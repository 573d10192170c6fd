"""An evaluation as tables: on the terminal and as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from OneShotSegLib.evaluation.metrics import UNCOUNTED, StructureFigures
from OneShotSegLib.study.csv_table import write_table

if TYPE_CHECKING:
    from OneShotSegLib.evaluation.result import Evaluation, StructureMeans

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


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """Write a row for each case and structure, whole or not at all; nothing stands where there is no figure."""
    write_table(path, COLUMNS, [_row(figure) for figure in evaluation.figures])


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


def render(evaluation: Evaluation, by_case: bool = True) -> RenderableType:
    """Dice by case and structure (if asked for), the means, the notes."""
    parts: list[RenderableType] = [_dice_table(evaluation)] if by_case else []
    parts.append(_means_table(evaluation))
    parts += [Text(note, style="dim") for note in evaluation.notes]
    return Group(*parts)


def _dice_table(evaluation: Evaluation) -> Table:
    table = Table(title="Dice", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("Case", no_wrap=True)
    for name in evaluation.labels.values():
        table.add_column(Text(name), justify="right", overflow="fold")
    for case in evaluation.cases:
        cells = [_dice_cell(evaluation.of(case, value)) for value in evaluation.labels]
        table.add_row(Text(case), *cells)
    return table


def _dice_cell(figure: StructureFigures | None) -> Text:
    if figure is None or figure.dice is None:
        return Text("absent", style="dim")
    if figure.presence != "both":
        return Text(figure.presence, style="dim" if figure.presence in UNCOUNTED else "bold red")
    return Text(f"{figure.dice:.3f}", style="red" if figure.dice < POOR_DICE else "")


def _means_table(evaluation: Evaluation) -> Table:
    table = Table(title=f"Means over {len(evaluation.cases)} cases", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("Structure", overflow="fold", min_width=14)
    for heading in ("Dice", "HD95\nmm", "ASSD\nmm", "Volume\nerror", "Cases", "False\nneg.", "False\npos."):
        table.add_column(heading, justify="right")
    for means in evaluation.means():
        table.add_row(*_means_row(means))
    table.add_section()
    table.add_row(*_means_row(evaluation.overall()), style="bold")
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
