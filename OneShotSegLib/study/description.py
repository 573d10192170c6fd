"""study.json: what a study is, as every run, the report and Slicer read it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from typing import Any

import OneShotSegLib
from OneShotSegLib.errors import InputError
from OneShotSegLib.fingerprint import fingerprint_of
from OneShotSegLib.imaging.inputs import FoundCT, absolute
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.case_names import Place, names_of
from OneShotSegLib.study.checks import check_description
from OneShotSegLib.study.layout import OLDER_VERSIONS, STUDY_FORMAT, STUDY_VERSION, StudyPaths, read_json, write_json
from OneShotSegLib.study.migration import migrated_description
from OneShotSegLib.study.naming import unique_names


@dataclass(frozen=True)
class StudyCase:
    """A case of a study.

    Attributes:
        case: Its name, which is that of its folder.
        source: Where its CT lies: an absolute path.
        series: Series instance UID, where the source is a folder with several CT series; else ''.
        description: That series' description, '' if there is none.
    """

    case: str
    source: str
    series: str = ""
    description: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """Where its CT lies, whatever way leads there: equal for two ways to the same."""
        return os.path.realpath(self.source), self.series


@dataclass(frozen=True, kw_only=True)
class StudyDescription:
    """The content of study.json.

    Attributes:
        supports: For each support its CT's absolute path, its scribbles' file in the study, and their fingerprint.
        labels: Label table: value, name, colour.
        background_label: Value of the background stroke.
        settings: The method and all its settings.
        weights: Name and description of the networks.
        cases: The cases in the order in which they are done.
        created: ISO 8601, UTC.
        versions: OneShotSeg and what matters for repeating it.
    """

    supports: tuple[Mapping[str, str], ...]
    labels: tuple[Mapping[str, Any], ...]
    background_label: int
    settings: Mapping[str, Any]
    weights: Mapping[str, Any]
    cases: tuple[StudyCase, ...] = ()
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: Mapping[str, str] = field(
        default_factory=lambda: {
            "OneShotSeg": OneShotSegLib.__version__,
            "Python": platform.python_version(),
        }
    )

    def write(self, study: StudyPaths) -> None:
        """Write study.json, whole or not at all."""
        write_json(study.description, self.as_json())

    def as_json(self) -> dict[str, Any]:
        """The content of study.json."""
        cases = [{name: text for name, text in asdict(case).items() if text} for case in self.cases]
        return {"format": STUDY_FORMAT, "version": STUDY_VERSION, **asdict(self), "cases": cases}

    @classmethod
    def read(cls, study: StudyPaths) -> StudyDescription:
        """Read study.json.

        Raises:
            InputError: If the folder holds no study that this version can read.
        """
        if not study.description.is_file():
            raise InputError(f"{study.root}: expected a study (a folder with study.json), found none.")
        content = read_json(study.description)
        if not isinstance(content, dict) or content.get("format") != STUDY_FORMAT:
            raise InputError(f"{study.description}: expected an {STUDY_FORMAT}, found other content.")
        version = content.get("version")
        if version != STUDY_VERSION and version not in OLDER_VERSIONS:
            known = ", ".join(map(str, (*OLDER_VERSIONS, STUDY_VERSION)))
            raise InputError(f"{study.description}: expected a study of version {known}, found {version!r}.")
        check_description(study.description, content)
        present = migrated_description(content)
        return cls._from(study.description, {k: v for k, v in present.items() if k not in ("format", "version")})

    @classmethod
    def _from(cls, path: Path, content: dict[str, Any]) -> StudyDescription:
        try:
            cases = tuple(
                StudyCase(
                    entry["case"],
                    str(located(path.parent, entry["source"])),
                    entry.get("series", ""),
                    entry.get("description", ""),
                )
                for entry in content.pop("cases")
            )
            supports, labels = tuple(content.pop("supports")), tuple(content.pop("labels"))
            if any("value" not in entry or "name" not in entry for entry in labels):
                raise KeyError("a label's value or name")
            return cls(supports=supports, labels=labels, cases=cases, **content)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: expected a full study description, found gaps or unknown entries.") from error

    @property
    def structures(self) -> tuple[Segment, ...]:
        """The structures in the table's order, without the background stroke; a missing colour is the palette's."""
        segments = []
        for entry in self.labels:
            if entry["value"] != self.background_label:
                plain = Segment.numbered(entry["value"])
                color = tuple(entry["color"][:3]) if entry.get("color") else plain.color
                segments.append(Segment(value=entry["value"], name=entry["name"], color=color))
        return tuple(segments)

    @property
    def case_volumes(self) -> dict[str, Path]:
        """Case name to the file or folder of its CT."""
        return {case.case: Path(case.source) for case in self.cases}

    def differs_from(self, other: StudyDescription) -> str | None:
        """What makes two studies different, as a phrase; None if their cases belong together."""
        if [s.get("fingerprint") for s in self.supports] != [s.get("fingerprint") for s in other.supports]:
            return "another support or other scribbles"
        if self.settings != other.settings:
            return "other settings"
        if self.weights.get("fingerprint") != other.weights.get("fingerprint"):
            return "other weights"
        return None


def located(root: Path, source: str) -> Path:
    """Where a CT lies that a study names; a relative path is one within the study's folder, ``root``."""
    return Path(source) if PureWindowsPath(source).is_absolute() else root / source


def label_table(segments: Iterable[Segment]) -> tuple[dict[str, Any], ...]:
    """The structures as study.json lists them."""
    return tuple({"value": s.value, "name": s.name, "color": list(s.color)} for s in segments)


def fingerprint_of_support(ct: Volume, scribbles: LabelMap) -> str:
    """The fingerprint of a support: of its voxels, its grid, its strokes and their names."""
    names = repr([(s.value, s.name) for s in scribbles.segments])
    return fingerprint_of(ct.describe_grid(), ct.array.tobytes(), scribbles.volume.array.tobytes(), names)


def name_cases(cts: Iterable[FoundCT | Path], known: Sequence[StudyCase] = ()) -> tuple[StudyCase, ...]:
    """A unique, safe name for each CT; see `OneShotSegLib.study.case_names`.

    Args:
        cts: Where the CTs lie; links keep their own names.
        known: Cases that have names: these do not change, and their CTs are left out of the result.
    """
    taken = {case.place for case in known}
    fresh: dict[tuple[str, str], StudyCase] = {}
    for ct in cts:
        one = FoundCT(path=ct) if isinstance(ct, Path) else ct
        source = str(absolute(one.path))
        # A series is named only where the folder alone does not say which it is.
        case = StudyCase("", source, one.series, one.description if one.series else "")
        if case.place not in taken:
            fresh.setdefault(case.place, case)
    everything = [*known, *fresh.values()]
    names = names_of([Place(Path(case.source), case.description or case.series) for case in everything])
    unique = unique_names(names[len(known) :], (case.case for case in known))
    return tuple(replace(case, case=name) for case, name in zip(fresh.values(), unique, strict=True))
