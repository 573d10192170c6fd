"""study.json: what a study is, as every run, the report and Slicer read it."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from typing import Any

import OneShotSegLib
from OneShotSegLib.errors import InputError
from OneShotSegLib.fingerprint import fingerprint_of
from OneShotSegLib.imaging.files import GENERIC_STEMS, stem_of
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
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
    """

    case: str
    source: str


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
        write_json(study.description, {"format": STUDY_FORMAT, "version": STUDY_VERSION, **asdict(self)})

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
                StudyCase(entry["case"], str(located(path.parent, entry["source"]))) for entry in content.pop("cases")
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


def name_cases(paths: Iterable[Path]) -> tuple[StudyCase, ...]:
    """A unique, safe name for each path: the file's own, or its folder's where the file's is generic ("ct.nii.gz").

    Where several have one name, and there alone, the name of the folder above goes before it.
    """
    sources = list(dict.fromkeys(path.resolve() for path in paths))
    named = [_stem_and_folder(path) for path in sources]
    count = Counter(stem.casefold() for stem, _ in named)
    names = [f"{folder}_{stem}" if count[stem.casefold()] > 1 else stem for stem, folder in named]
    return tuple(StudyCase(name, str(path)) for name, path in zip(unique_names(names), sources, strict=True))


def _stem_and_folder(path: Path) -> tuple[str, str]:
    """What a CT is named after, and the folder above that."""
    if stem_of(path).casefold() in GENERIC_STEMS:
        return path.parent.name, path.parent.parent.name
    return stem_of(path), path.parent.name
