"""study.json: what a study is, as every run, the report and Slicer read it."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import Any

import OneShotSegLib
from OneShotSegLib.errors import InputError
from OneShotSegLib.fingerprint import fingerprint_of
from OneShotSegLib.imaging.inputs import FoundCT, absolute
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, background_segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.case_names import Place, names_of
from OneShotSegLib.study.checks import check_description
from OneShotSegLib.study.layout import OLDER_VERSIONS, STUDY_FORMAT, STUDY_VERSION, StudyPaths, read_json, write_json
from OneShotSegLib.study.migration import migrated_description
from OneShotSegLib.study.naming import unique_names
from OneShotSegLib.study.revisions import FIRST, Revision, now

NETWORK = "network"
"""Name of the settings of a study that a segmentation network makes."""
OF_REVISION = ("supports", "background_label", "settings", "weights")
"""What a description has of its present revision."""


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

    Supports, settings, weights and the background stroke's value are those of the present revision.

    Attributes:
        supports: Of each support what `Revision` says.
        labels: Label table: value, name, colour of all structures that the study ever had.
        background_label: Value of the background stroke.
        settings: The method and all its settings.
        weights: Name and description of the networks.
        revision: Number of the present revision.
        revisions: All revisions, by ascending number; one if left out.
        cases: The cases in the order in which they are done.
        created: ISO 8601, UTC.
        versions: OneShotSeg and what matters for repeating it.
    """

    supports: tuple[Mapping[str, str], ...]
    labels: tuple[Mapping[str, Any], ...]
    background_label: int
    settings: Mapping[str, Any]
    weights: Mapping[str, Any]
    revision: int = FIRST
    revisions: tuple[Revision, ...] = ()
    cases: tuple[StudyCase, ...] = ()
    created: str = field(default_factory=now)
    versions: Mapping[str, str] = field(
        default_factory=lambda: {
            "OneShotSeg": OneShotSegLib.__version__,
            "Python": platform.python_version(),
        }
    )

    def __post_init__(self) -> None:
        """Make the present revision say what the description says."""
        own: dict[str, Any] = {name: getattr(self, name) for name in OF_REVISION}
        known = self.revisions or (Revision(number=self.revision, created=self.created, labels=self.labels, **own),)
        present = tuple(replace(one, **own) if one.number == self.revision else one for one in known)
        object.__setattr__(self, "revisions", present)

    @property
    def present(self) -> Revision:
        """The present revision."""
        return next(one for one in self.revisions if one.number == self.revision)

    def revision_of(self, number: int) -> Revision | None:
        """The revision of this number; None if there is none."""
        return next((one for one in self.revisions if one.number == number), None)

    def is_current(self, number: int) -> bool:
        """Whether a result of the revision of this number is what the present one would compute."""
        known = self.revision_of(number)
        return known is not None and (number == self.revision or known.computes_like(self.present))

    def at(self, revision: Revision) -> StudyDescription:
        """The same study with this revision, new or known, as the present one."""
        others = [one for one in self.revisions if one.number != revision.number]
        return replace(
            self,
            revision=revision.number,
            revisions=tuple(sorted((*others, revision), key=lambda one: one.number)),
            **{name: getattr(revision, name) for name in OF_REVISION},
        )

    def write(self, study: StudyPaths) -> None:
        """Write study.json, whole or not at all."""
        write_json(study.description, self.as_json())

    def as_json(self) -> dict[str, Any]:
        """The content of study.json."""
        return {
            "format": STUDY_FORMAT,
            "version": STUDY_VERSION,
            "revision": self.revision,
            "revisions": [revision.as_json() for revision in self.revisions],
            "labels": [dict(entry) for entry in self.labels],
            "cases": [{name: text for name, text in asdict(case).items() if text} for case in self.cases],
            "created": self.created,
            "versions": dict(self.versions),
        }

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
        present = check_description(study.description, migrated_description(content))
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
            labels, revisions = tuple(content.pop("labels")), tuple(map(Revision.from_json, content.pop("revisions")))
            present = next((one for one in revisions if one.number == content["revision"]), None)
            tables = (labels, *(revision.labels for revision in revisions))
            if present is None or any(
                "value" not in entry or "name" not in entry for table in tables for entry in table
            ):
                raise KeyError("the present revision, or a label's value or name")
            own = {name: getattr(present, name) for name in OF_REVISION}
            return cls(labels=labels, cases=cases, revisions=revisions, **own, **content)
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

    @property
    def table(self) -> tuple[Segment, ...]:
        """What the values mean in all of the study: the structures and the background stroke, if there is one."""
        stroke = (background_segment(self.background_label),) if self.background_label else ()
        return (*self.structures, *stroke)

    @property
    def is_of_network(self) -> bool:
        """Whether a segmentation network makes the results (`segment`), and no propagation."""
        return self.settings.get("name") == NETWORK


def located(root: Path, source: str) -> Path:
    """Where a CT lies that a study names; a relative path is one within the study's folder, ``root``."""
    return Path(source) if PureWindowsPath(source).is_absolute() else root / source


def support_cases(paths: StudyPaths, description: StudyDescription) -> tuple[str, ...]:
    """The cases of a study whose CTs are scribbled supports of its present revision: their own masks."""
    supports = [
        (os.path.realpath(located(paths.root, one["ct"])), one.get("series", "")) for one in _scribbled(description)
    ]
    return tuple(case.case for case in description.cases if case.place in supports)


def _scribbled(description: StudyDescription) -> list[Mapping[str, str]]:
    return [support for support in description.present.scribbled if "ct" in support]


def label_table(segments: Iterable[Segment]) -> tuple[dict[str, Any], ...]:
    """The structures as study.json lists them."""
    return tuple({"value": s.value, "name": s.name, "color": list(s.color)} for s in segments)


def fingerprint_of_support(ct: Volume, scribbles: LabelMap, known: Collection[str] = ()) -> str:
    """The fingerprint of a support: of its voxels, its grid, its strokes and their names.

    Args:
        ct: The CT.
        scribbles: Its strokes, with the study's values.
        known: Fingerprints of the study. In versions 1 and 2 the segments' order counted: one that is known stays.
    """
    names = [(s.value, s.name) for s in scribbles.segments]
    parts = (ct.describe_grid(), ct.array.tobytes(), scribbles.volume.array.tobytes())
    if names != sorted(names) and (older := fingerprint_of(*parts, repr(names))) in known:
        return older
    return fingerprint_of(*parts, repr(sorted(names)))


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
