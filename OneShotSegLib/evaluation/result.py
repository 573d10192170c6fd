"""What an evaluation found: figures, means, and the ways to show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from OneShotSegLib.evaluation.figures import StructureFigures, StructureMeans, means_by_structure, overall_means
from OneShotSegLib.evaluation.plot import draw_box_plot
from OneShotSegLib.evaluation.table import render_tables, write_csv

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All figures of an evaluation.

    Attributes:
        figures: Case by case, in each the structures in the order of the labels.
        labels: Value and name of the structures evaluated.
        notes: Sentences on what was resampled, left out, or has no mask.
        predictions: The folder evaluated.
    """

    figures: tuple[StructureFigures, ...]
    labels: Mapping[int, str]
    notes: tuple[str, ...] = ()
    predictions: Path = field(default_factory=Path)

    @property
    def cases(self) -> tuple[str, ...]:
        """The cases evaluated, in order."""
        return tuple(dict.fromkeys(figure.case for figure in self.figures))

    @property
    def csv_path(self) -> Path:
        """Where the table goes by default: next to the predictions."""
        return self.predictions / "evaluation.csv"

    def of(self, case: str, value: int) -> StructureFigures | None:
        """The figures of a structure in a case, if it was evaluated."""
        return next((f for f in self.figures if f.case == case and f.value == value), None)

    def means(self) -> tuple[StructureMeans, ...]:
        """The means of each structure, in the order of the labels."""
        return means_by_structure(self.figures, self.labels)

    def overall(self) -> StructureMeans:
        """The means of the structures' means, so that a structure counts the same in however many cases it is."""
        return overall_means(self.means())

    def to_csv(self, path: Path | None = None) -> Path:
        """Write a row for each case and structure; the path it went to (`csv_path` by default)."""
        target = path or self.csv_path
        write_csv(self.figures, target)
        return target

    def render(self, by_case: bool = True) -> RenderableType:
        """For the terminal: Dice by case and structure, the means, and the notes."""
        return render_tables(self.figures, self.labels, self.notes, by_case)

    def box_plot(self, path: Path) -> Path:
        """Draw Dice, HD95 and ASSD by structure as PNG; the path."""
        draw_box_plot(self.figures, self.labels, path)
        return path
