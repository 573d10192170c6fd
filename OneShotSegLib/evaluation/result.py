"""What an evaluation found: figures, means, and the ways to show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from OneShotSegLib.evaluation.metrics import UNCOUNTED, StructureFigures

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, kw_only=True)
class StructureMeans:
    """The means of one structure over the cases.

    Attributes:
        name: The structure's name, or "All structures".
        cases: How many cases are counted: those where the reference or the prediction has it.
        false_negatives: In how many only the reference has it.
        false_positives: In how many only the prediction has it.
        dice: Mean Dice over the counted cases, false negatives and false positives as 0; None if none is counted.
        hd95_mm: Mean HD95 over the cases where both have it, mm; None if there is none.
        assd_mm: Mean ASSD over the same cases, mm; None if there is none.
        volume_error: Mean of the unsigned volume errors over the reference's volume where there is one; a false
            negative counts 1.
    """

    name: str
    cases: int
    false_negatives: int
    false_positives: int
    dice: float | None
    hd95_mm: float | None
    assd_mm: float | None
    volume_error: float | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All figures of an evaluation.

    Attributes:
        figures: Case by case, in each the structures in the order of the labels.
        labels: Value and name of the structures judged.
        notes: Sentences on what was resampled, left out, or missing.
        predictions: The folder judged.
    """

    figures: tuple[StructureFigures, ...]
    labels: Mapping[int, str]
    notes: tuple[str, ...] = ()
    predictions: Path = field(default_factory=Path)

    @property
    def cases(self) -> tuple[str, ...]:
        """The cases judged, in order."""
        return tuple(dict.fromkeys(figure.case for figure in self.figures))

    @property
    def csv_path(self) -> Path:
        """Where the table goes by default: beside the predictions."""
        return self.predictions / "evaluation.csv"

    def of(self, case: str, value: int) -> StructureFigures | None:
        """The figures of a structure in a case, if it was judged."""
        return next((f for f in self.figures if f.case == case and f.value == value), None)

    def means(self) -> tuple[StructureMeans, ...]:
        """The means of each structure, in the order of the labels."""
        return tuple(_means(name, self._of_value(value)) for value, name in self.labels.items())

    def overall(self) -> StructureMeans:
        """The means of the structures' means, so that a structure counts the same in however many cases it is."""
        each = self.means()
        return StructureMeans(
            name="All structures",
            cases=sum(m.cases for m in each),
            false_negatives=sum(m.false_negatives for m in each),
            false_positives=sum(m.false_positives for m in each),
            dice=_mean(m.dice for m in each),
            hd95_mm=_mean(m.hd95_mm for m in each),
            assd_mm=_mean(m.assd_mm for m in each),
            volume_error=_mean(m.volume_error for m in each),
        )

    def _of_value(self, value: int) -> list[StructureFigures]:
        return [figure for figure in self.figures if figure.value == value]

    def to_csv(self, path: Path | None = None) -> Path:
        """Write a row for each case and structure; the path it went to (`csv_path` by default)."""
        from OneShotSegLib.evaluation.table import write_csv

        target = path or self.csv_path
        write_csv(self, target)
        return target

    def render(self, by_case: bool = True) -> RenderableType:
        """For the terminal: Dice by case and structure, the means, and the notes."""
        from OneShotSegLib.evaluation.table import render

        return render(self, by_case)

    def box_plot(self, path: Path) -> Path:
        """Draw Dice, HD95 and ASSD by structure as PNG; the path."""
        from OneShotSegLib.evaluation.plot import box_plot

        box_plot(self, path)
        return path


def _means(name: str, figures: list[StructureFigures]) -> StructureMeans:
    counted = [f for f in figures if f.presence not in UNCOUNTED]
    return StructureMeans(
        name=name,
        cases=len(counted),
        false_negatives=sum(f.presence == "false negative" for f in counted),
        false_positives=sum(f.presence == "false positive" for f in counted),
        dice=_mean(f.dice for f in counted),
        hd95_mm=_mean(f.hd95_mm for f in counted),
        assd_mm=_mean(f.assd_mm for f in counted),
        volume_error=_mean(None if f.volume_error is None else abs(f.volume_error) for f in counted),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
