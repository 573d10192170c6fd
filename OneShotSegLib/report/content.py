"""What the report shows, read from the study folder; what cannot be read becomes a sentence, never an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.inputs import LeftOut, summary
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.study.description import StudyDescription, located
from OneShotSegLib.study.inputs import read_left_out
from OneShotSegLib.study.layout import CasePaths, StudyPaths, read_json
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, read_quality
from OneShotSegLib.study.review import ReviewEntry, ReviewLedger


class Figures(Protocol):
    """How well one structure of one case agrees with a reference."""

    @property
    def presence(self) -> str:
        """One of "both", "false negative", "false positive", "absent"."""

    @property
    def dice(self) -> float | None:
        """Dice, 0-1."""

    @property
    def hd95_mm(self) -> float | None:
        """HD95, mm."""


class EvaluationFigures(Protocol):
    """An evaluation, as far as the report looks at it."""

    def of(self, case: str, value: int) -> Figures | None:
        """The figures of a structure in a case, if it was evaluated."""


@dataclass(frozen=True)
class StructureRow:
    """One structure of one case.

    Attributes:
        label: The structure.
        quality: Its measures.
        figures: Its agreement with a reference, if one was given.
    """

    label: Segment
    quality: StructureQuality
    figures: Figures | None = None


@dataclass(frozen=True, kw_only=True)
class CaseContent:
    """One case.

    Attributes:
        name: Its name.
        paths: Its files.
        source: The query's CT.
        rows: Its structures, in the label table's order; empty unless it is done.
        quality: Its measures; None unless it is done.
        error: Why it failed, or why its result cannot be read.
        review: What the reviewer decided.
        series: Series instance UID of the CT, where the source is a folder with several CT series; else ''.
        revision_note: That the result is of another revision than the study's present one; '' if it is not.
    """

    name: str
    paths: CasePaths
    source: Path
    rows: tuple[StructureRow, ...] = ()
    quality: CaseQuality | None = None
    error: str = ""
    review: ReviewEntry = field(default_factory=lambda: ReviewEntry(case=""))
    series: str = ""
    revision_note: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the reviewer."""
        warnings = self.quality.warnings if self.quality else ()
        decided = tuple(f"{name}: {decision} by the reviewer." for name, decision in self.review.structures.items())
        return (*warnings, *decided, *((self.revision_note,) if self.revision_note else ()))

    @property
    def status(self) -> str:
        """One of "failed", "done", "waiting"."""
        if self.error:
            return "failed"
        return "done" if self.quality else "waiting"

    @property
    def score(self) -> float | None:
        """The case's score, 0-1; None unless it is done."""
        return self.quality.score if self.quality else None

    @property
    def worst(self) -> StructureQuality | None:
        """The structure to look at first; None unless the case is done and a structure is there."""
        return self.quality.worst if self.quality else None

    @property
    def doubt(self) -> tuple[int, float, str]:
        """Sorts by what to look at first: failed cases, then low scores, then the cases that are not done."""
        place = {"failed": 0, "done": 1, "waiting": 2}[self.status]
        return place, self.score if self.score is not None else 0.0, self.name


@dataclass(frozen=True, kw_only=True)
class StudyContent:
    """A study.

    Attributes:
        paths: Its files.
        description: The content of study.json.
        cases: By doubt.
        notes: Sentences on what could not be read.
        left_out: What the latest run did not use of its queries.
    """

    paths: StudyPaths
    description: StudyDescription
    cases: tuple[CaseContent, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def left_out_summary(self) -> str:
        """The same, counted by kind."""
        return summary(self.left_out)

    @property
    def labels(self) -> tuple[Segment, ...]:
        """The structures, without the background stroke."""
        return self.description.structures

    @property
    def support(self) -> Path | None:
        """The first support's CT; None for a study that has no support."""
        return self._supports[0] if self._supports else None

    @property
    def support_names(self) -> list[str]:
        """Folder and file of each support's CT."""
        return ["/".join(path.parts[-2:]) for path in self._supports]

    @property
    def _supports(self) -> list[Path]:
        cts = [support.get("ct") for support in self.description.supports]
        return [located(self.paths.root, ct) for ct in cts if ct]

    def with_status(self, status: str) -> tuple[CaseContent, ...]:
        """The cases of a status."""
        return tuple(case for case in self.cases if case.status == status)

    def scores_of(self, label: Segment) -> list[float]:
        """The scores of a structure in the cases where it is not absent."""
        return [row.quality.score for row in self._rows_of(label) if row.quality.state != "absent"]

    def absent_count(self, label: Segment) -> int:
        """In how many cases a structure is absent."""
        return sum(row.quality.state == "absent" for row in self._rows_of(label))

    def _rows_of(self, label: Segment) -> list[StructureRow]:
        return [row for case in self.cases for row in case.rows if row.label.value == label.value]


def read_content(root: Path, evaluation: EvaluationFigures | None = None) -> StudyContent:
    """Read what a study holds.

    Raises:
        InputError: If the folder is no study.
    """
    paths = StudyPaths(root)
    description = StudyDescription.read(paths)
    ledger, notes = _ledger(paths)
    cases = []
    for entry in description.cases:
        case = _case(paths.case(entry.case), Path(entry.source), description.structures, evaluation)
        review = ledger.get(case.name, ReviewEntry(case=case.name))
        note = _revision_note(case.quality, description)
        cases.append(replace(case, series=entry.series, review=review, revision_note=note))
    return StudyContent(
        paths=paths,
        description=description,
        cases=tuple(sorted(cases, key=lambda case: case.doubt)),
        notes=notes,
        left_out=read_left_out(paths),
    )


def _revision_note(quality: CaseQuality | None, description: StudyDescription) -> str:
    if quality is None or description.is_current(quality.revision):
        return ""
    return f"This result is of revision {quality.revision}; the study is of revision {description.revision} by now."


def _ledger(paths: StudyPaths) -> tuple[dict[str, ReviewEntry], tuple[str, ...]]:
    try:
        return {entry.case: entry for entry in ReviewLedger.load(paths.review)}, ()
    except InputError as error:
        return {}, (f"The review ledger could not be read: {error}",)


def css_color(color: Sequence[float]) -> str:
    """A CSS colour of red, green, blue from 0 to 1 (or to 255, where one is over 1)."""
    parts = [float(part) for part in color][:3]
    scale = 1 if max(parts) > 1 else 255
    red, green, blue = (round(min(max(part * scale, 0), 255)) for part in parts)
    return f"rgb({red},{green},{blue})"


def _case(
    paths: CasePaths, source: Path, labels: Sequence[Segment], evaluation: EvaluationFigures | None
) -> CaseContent:
    case = CaseContent(name=paths.name, paths=paths, source=source)
    if not paths.is_done:
        return replace(case, error=_failure(paths))
    try:
        quality = read_quality(paths.quality)
    except InputError as error:
        return replace(case, error=str(error))
    return replace(case, quality=quality, rows=_rows(paths.name, quality, labels, evaluation))


def _failure(paths: CasePaths) -> str:
    if not paths.failure.is_file():
        return ""
    try:
        return str(read_json(paths.failure)["error"])
    except (InputError, KeyError, TypeError):
        return "It failed, and why cannot be read."


def _rows(
    case: str, quality: CaseQuality, labels: Sequence[Segment], evaluation: EvaluationFigures | None
) -> tuple[StructureRow, ...]:
    measured = {structure.value: structure for structure in quality.structures}
    return tuple(
        StructureRow(label, measured[label.value], evaluation.of(case, label.value) if evaluation else None)
        for label in labels
        if label.value in measured
    )
