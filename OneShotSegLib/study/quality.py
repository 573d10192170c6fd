"""Measures of a result without a reference: the content of a case's quality.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.checks import is_count, is_label, is_number, is_text
from OneShotSegLib.study.layout import read_json, write_json
from OneShotSegLib.study.migration import migrated_measures
from OneShotSegLib.study.revisions import FIRST

State = Literal["found", "partial", "absent"]
MAY_BE_UNKNOWN = (
    "similarity",
    "cycle_mm",
    "volume_ratio",
    "consensus",
    "score_low",
    "score_high",
    "local_correlation",
)


@dataclass(frozen=True, kw_only=True)
class StructureQuality:
    """Measures of one structure in one case.

    Attributes:
        value: Label value.
        name: Name.
        state: "found", "partial" (cut by the field of view) or "absent".
        score: 0 (worst) to 1 (best); 0 for an absent structure. Of a fused mask the Dice to expect
            (`OneShotSegLib.scoring.predicted_dice`).
        similarity: Mean feature similarity of its scribbles to the support's, 0-1; None if denoising decides nothing.
        kept: Share of its scribbles that denoising kept, 0-1.
        cycle_mm: Median distance between where the network leads back to from places of the query and
            where they came from, mm.
        volume_ml: Volume of the pseudo mask, ml.
        volume_ratio: Volume over the support's own expansion, corrected for the body's size.
        in_view: Share of its propagated scribbles within the field of view, 0-1.
        agreement: Dice of the mask with the support's own expansion propagated by the fit, 0-1.
        core_dice: Dice of the mask with itself less a border of 3 mm, 0-1: low for thin structures.
        certainty: Mean margin between the best and the second class at the mask's voxels, 0-1.
        consensus: Dice of the mask with what all candidates together say, a mean over them of the voxels' shares, 0-1;
            None where nothing was fused.
        local_correlation: How the query's image and that of the most similar support, warped onto it, correlate in the
            mask and 6 mm around it, 0-1: low where the structure was looked for in another place. None where nothing
            was fused.
        score_low: Nine in ten such structures have a Dice from this to ``score_high``; None where that is not known.
        score_high: The other end.
    """

    value: int
    name: str
    state: State
    score: float
    similarity: float | None = None
    kept: float = 0.0
    cycle_mm: float | None = None
    volume_ml: float = 0.0
    volume_ratio: float | None = None
    in_view: float = 0.0
    agreement: float = 0.0
    core_dice: float = 0.0
    certainty: float = 0.0
    consensus: float | None = None
    local_correlation: float | None = None
    score_low: float | None = None
    score_high: float | None = None

    def with_score(self, score: float) -> StructureQuality:
        """The same measures with a score."""
        return replace(self, score=score)


@dataclass(frozen=True, kw_only=True)
class CTRecord:
    """What the CT was that a result was made of.

    Attributes:
        fingerprint: Of its voxels and their positions: equal for the same CT, in whatever file.
        size: Number of voxels along z, y, x.
        bytes: Size of its file, or of the files of its folder; 0 if that is not known.
        modified: When the latest of these was changed, microseconds since 1970; 0 likewise.
    """

    fingerprint: str
    size: tuple[int, int, int]
    bytes: int = 0
    modified: int = 0


@dataclass(frozen=True, kw_only=True)
class CaseQuality:
    """Measures of one case.

    Attributes:
        case: Name.
        score: Mean score of its structures that are not absent, 0-1; 0 if all are absent.
        structures: In the label table's order.
        seconds: Time each step took.
        warnings: Sentences for the reviewer.
        ct: What its CT was; None in studies of before 0.2, until the CT is read again.
        revision: Number of the study's revision that it was computed from.
    """

    case: str
    score: float
    structures: tuple[StructureQuality, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    ct: CTRecord | None = None
    revision: int = FIRST

    @property
    def worst(self) -> StructureQuality | None:
        """The structure to look at first: the one with the lowest score that is not absent; None if all are."""
        there = [structure for structure in self.structures if structure.state != "absent"]
        return min(there, key=lambda structure: structure.score, default=None)


def mean_score(structures: Iterable[StructureQuality]) -> float:
    """A case's score: the mean of its structures that are not absent, 0-1; 0 if all are."""
    scores = [structure.score for structure in structures if structure.state != "absent"]
    return round(sum(scores) / len(scores), 4) if scores else 0.0


def write_quality(quality: CaseQuality, path: Path) -> None:
    """Write quality.json."""
    content = asdict(quality)
    if quality.ct is None:
        del content["ct"]
    write_json(path, content)


def read_quality(path: Path) -> CaseQuality:
    """Read quality.json.

    Raises:
        InputError: If it is missing or not what we write.
    """
    content: dict[str, Any] = read_json(path)
    try:
        if not _is_quality(content):
            raise TypeError("values of other kinds")
        structures = tuple(StructureQuality(**migrated_measures(entry)) for entry in content.pop("structures"))
        warnings = tuple(content.pop("warnings"))
        ct = _ct_record(content.pop("ct", None))
        return CaseQuality(**content, structures=structures, warnings=warnings, ct=ct)
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected the quality of a case, found other content.") from error


def _ct_record(entry: Any) -> CTRecord | None:
    if entry is None:
        return None
    size, counts = entry["size"], [entry.get("bytes", 0), entry.get("modified", 0)]
    if (
        not is_text(entry["fingerprint"])
        or len(size) != 3
        or not all(type(number) is int for number in (*size, *counts))
    ):
        raise TypeError("values of other kinds")
    z, y, x = size
    return CTRecord(fingerprint=entry["fingerprint"], size=(z, y, x), bytes=counts[0], modified=counts[1])


def _is_quality(content: Any) -> bool:
    return (
        is_text(content["case"])
        and is_number(content["score"], 0, 1)
        and all(map(_is_structure, content["structures"]))
        and all(map(is_text, content["warnings"]))
        and all(map(is_number, content.get("seconds", {}).values()))
        and is_count(content.get("revision", FIRST))
    )


def _is_structure(entry: Mapping[str, Any]) -> bool:
    rest = {name: value for name, value in entry.items() if name not in ("value", "name", "state", "score")}
    return (
        is_label(entry["value"])
        and is_text(entry["name"])
        and entry["state"] in get_args(State)
        and is_number(entry["score"], 0, 1)
        and all(is_number(value) or (value is None and name in MAY_BE_UNKNOWN) for name, value in rest.items())
    )
