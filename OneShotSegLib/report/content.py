"""What the report shows, read from the study folder; what cannot be read becomes a sentence, never an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.checks import check_description
from OneShotSegLib.study.description import located
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
        """The figures of a structure in a case, if it was judged."""


@dataclass(frozen=True)
class Label:
    """A structure of the study.

    Attributes:
        value: Label value.
        name: Name.
        color: CSS colour.
    """

    value: int
    name: str
    color: str


@dataclass(frozen=True)
class StructureRow:
    """One structure of one case.

    Attributes:
        label: The structure.
        quality: Its measures.
        figures: Its agreement with a reference, if one was given.
    """

    label: Label
    quality: StructureQuality
    figures: Figures | None = None


@dataclass(frozen=True, kw_only=True)
class CaseContent:
    """One case.

    Attributes:
        name: Its name.
        paths: Its files.
        source: The query CT.
        rows: Its structures, in the label table's order; empty unless it is done.
        quality: Its measures; None unless it is done.
        error: Why it failed, or why its result cannot be read.
        review: What the reviewer decided.
    """

    name: str
    paths: CasePaths
    source: Path | None
    rows: tuple[StructureRow, ...] = ()
    quality: CaseQuality | None = None
    error: str = ""
    review: ReviewEntry = field(default_factory=lambda: ReviewEntry(case=""))

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
    def worst(self) -> StructureRow | None:
        """The structure to look at first; see `CaseQuality.worst`."""
        worst = self.quality.worst if self.quality else None
        return next((row for row in self.rows if row.quality is worst), None)

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
        labels: The structures, without the background stroke.
        background: Value of the background stroke, if there is one.
        cases: By doubt.
        notes: Sentences on what could not be read.
    """

    paths: StudyPaths
    description: Mapping[str, Any]
    labels: tuple[Label, ...]
    background: int | None
    cases: tuple[CaseContent, ...]
    notes: tuple[str, ...] = ()

    @property
    def support(self) -> Path | None:
        """The support CT."""
        supports = self.description.get("supports") or [{}]
        path = supports[0].get("ct")
        return self.paths.root / path if path else None

    @property
    def support_names(self) -> list[str]:
        """Folder and file of each support's CT."""
        paths = [Path(str(support.get("ct") or "")) for support in self.description.get("supports") or []]
        return ["/".join(path.parts[-2:]) for path in paths if path.name]

    def with_status(self, status: str) -> tuple[CaseContent, ...]:
        """The cases of a status."""
        return tuple(case for case in self.cases if case.status == status)

    def scores_of(self, label: Label) -> list[float]:
        """The scores of a structure in the cases where it is not absent."""
        return [row.quality.score for row in self._rows_of(label) if row.quality.state != "absent"]

    def absent_count(self, label: Label) -> int:
        """In how many cases a structure is absent."""
        return sum(row.quality.state == "absent" for row in self._rows_of(label))

    def _rows_of(self, label: Label) -> list[StructureRow]:
        return [row for case in self.cases for row in case.rows if row.label.value == label.value]


def read_content(root: Path, evaluation: EvaluationFigures | None = None) -> StudyContent:
    """Read what a study holds.

    Raises:
        InputError: If the folder is no study.
    """
    paths = StudyPaths(root)
    description = check_description(paths.description, read_json(paths.description))
    try:
        background = description.get("background_label")
        labels = tuple(_label(entry) for entry in description["labels"] if entry["value"] != background)
        sources = {str(entry["case"]): entry.get("source") or "" for entry in description["cases"]}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{paths.description}: expected the description of a study, found other content.") from error
    ledger, notes = _ledger(paths)
    cases = [
        _case(paths.case(name), located(root, source) if source else None, labels, evaluation)
        for name, source in sources.items()
    ]
    reviewed = [replace(case, review=ledger.get(case.name, ReviewEntry(case=case.name))) for case in cases]
    return StudyContent(
        paths=paths,
        description=description,
        labels=labels,
        background=background,
        cases=tuple(sorted(reviewed, key=lambda case: case.doubt)),
        notes=notes,
    )


def _ledger(paths: StudyPaths) -> tuple[dict[str, ReviewEntry], tuple[str, ...]]:
    try:
        return {entry.case: entry for entry in ReviewLedger.load(paths.review)}, ()
    except InputError as error:
        return {}, (f"The review ledger could not be read: {error}",)


def _label(entry: Mapping[str, Any]) -> Label:
    return Label(int(entry["value"]), str(entry["name"]), css_color(entry.get("color") or (0.6, 0.6, 0.6)))


def css_color(color: Sequence[float]) -> str:
    """A CSS colour of red, green, blue from 0 to 1 (or to 255, where one is over 1)."""
    parts = [float(part) for part in color][:3]
    scale = 1 if max(parts) > 1 else 255
    red, green, blue = (round(min(max(part * scale, 0), 255)) for part in parts)
    return f"rgb({red},{green},{blue})"


def _case(
    paths: CasePaths, source: Path | None, labels: Sequence[Label], evaluation: EvaluationFigures | None
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
    case: str, quality: CaseQuality, labels: Sequence[Label], evaluation: EvaluationFigures | None
) -> tuple[StructureRow, ...]:
    measured = {structure.value: structure for structure in quality.structures}
    return tuple(
        StructureRow(label, measured[label.value], evaluation.of(case, label.value) if evaluation else None)
        for label in labels
        if label.value in measured
    )
