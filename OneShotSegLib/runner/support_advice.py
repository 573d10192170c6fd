"""Which CT of a batch would be the best support: every CT is read once, and a few hundred numbers of it are kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Emit, ignore_events
from OneShotSegLib.fusion.support_advice import SupportAdvice, advise, unusual_height
from OneShotSegLib.imaging.body_profile import BodyProfile
from OneShotSegLib.imaging.files import check_image
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.inputs import FoundCT
from OneShotSegLib.imaging.slice_values import slice_axis
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.runner.inputs import emit_left_out, find_inputs
from OneShotSegLib.runner.prefetch import PrefetchedCT, prefetch
from OneShotSegLib.runner.warning_events import warnings_emitted
from OneShotSegLib.study.description import StudyCase, name_cases
from OneShotSegLib.troubles import sentence_of

MOST_HEADERS = 60
"""Headers of queries that a run reads to learn how high its fields of view are."""


@dataclass(frozen=True, kw_only=True)
class SuggestedSupport:
    """A CT of a batch with what speaks for and against it as a support.

    Attributes:
        rank: 1 for the best; 0 if the CT could not be read.
        case: Its name, as a study would have it.
        ct: Where it lies.
        series: Series instance UID, where that is a folder with several CT series; else ''.
        distance: From the middle of the batch, in spreads of the batch; the smaller the better.
        coverage: Share of the range that most CTs show that this one shows too, 0-1.
        outlier: Why it should not be the support, a phrase; '' if nothing speaks against it.
        why: What tells it from the middle of the batch, a phrase.
        error: Why it could not be read, a sentence; '' if it could.
    """

    rank: int = 0
    case: str
    ct: Path
    series: str = ""
    distance: float = 0.0
    coverage: float = 0.0
    outlier: str = ""
    why: str = ""
    error: str = ""


def suggest_support(
    queries: Iterable[Path], series: Sequence[str] = (), emit: Emit = ignore_events
) -> tuple[SuggestedSupport, ...]:
    """Say which CT of a batch would be the best support, and which ones are outliers; no labels are needed.

    Time and memory grow with the number of CTs alone. A CT that cannot be read does not stop the others.

    Args:
        queries: CTs, or folders of them.
        series: Texts that choose among several CT series of a folder.
        emit: Takes "started", "left_out", for each CT "case_started", any "warning", and "case_failed" if it cannot be
            read; then "support_suggested" for each other one, the best first, and "finished".

    Returns:
        The best first, outliers after the others, those that could not be read last.

    Raises:
        InputError: If a path is not there, or nothing is a CT.
    """
    found = find_inputs(None, queries, series=series)
    cases = name_cases(found.cts)
    emit("started", cases=[case.case for case in cases], study="")
    emit_left_out(found.left_out, emit)
    profiles: list[tuple[StudyCase, BodyProfile]] = []
    failed = []
    for case, ct in prefetch(cases):
        emit("case_started", case=case.case)
        try:
            with warnings_emitted(emit, case=case.case):
                profiles.append((case, _profile(case, ct)))
        except Exception as error:  # whatever it is, the other CTs go on
            failed.append(_unread(case, _sentence(error)))
            emit("case_failed", case=case.case, error=failed[-1].error)
        del ct  # the next one is being read already
    ranked = _ranked(profiles)
    for one in ranked:
        fields = {name: str(value) if name == "ct" else value for name, value in asdict(one).items() if name != "error"}
        emit("support_suggested", **fields)
    emit("finished", done=len(ranked), failed=len(failed))
    return (*ranked, *failed)


def _profile(case: StudyCase, ct: PrefetchedCT) -> BodyProfile:
    return BodyProfile.of(as_hounsfield(ct.result(), case.case), case.case)


def _ranked(profiles: Sequence[tuple[StudyCase, BodyProfile]]) -> list[SuggestedSupport]:
    advice = advise([profile for _, profile in profiles]) if profiles else []
    pairs = [(case, one) for (case, _), one in zip(profiles, advice, strict=True)]
    pairs.sort(key=lambda pair: (*pair[1].order, pair[0].case))
    return [_suggested(rank, case, one) for rank, (case, one) in enumerate(pairs, start=1)]


def _suggested(rank: int, case: StudyCase, advice: SupportAdvice) -> SuggestedSupport:
    return replace(
        _unread(case),
        rank=rank,
        distance=round(advice.distance, 3),
        coverage=round(advice.coverage, 3),
        outlier=advice.outlier,
        why=advice.why,
    )


def _unread(case: StudyCase, error: str = "") -> SuggestedSupport:
    return SuggestedSupport(case=case.case, ct=Path(case.source), series=case.series, error=error)


def _sentence(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    return sentence_of(error) or f"An unexpected error stopped this case ({type(error).__name__}: {error})."


def support_warnings(heights: Mapping[str, float], batch: Sequence[float]) -> list[str]:
    """Sentences on supports that are outliers of their batch, as far as the height of the field of view says it.

    Args:
        heights: Height of each support's field of view by its name, mm.
        batch: The same of the queries.
    """
    found = {name: unusual_height(height, [*batch, height]) for name, height in heights.items()}
    return [
        f"{name} may not be a good support for this batch: {reason} (oneshotseg suggest-support ranks the CTs)."
        for name, reason in found.items()
        if reason
    ]


def height_of(ct: Volume) -> float:
    """Height of a CT's field of view, mm."""
    axis = slice_axis(ct)
    return float(ct.shape[axis] * ct.spacing[axis])


def heights_from_headers(cts: Sequence[FoundCT]) -> list[float]:
    """Heights of the fields of view of some CTs of a batch, evenly chosen, mm.

    Those in DICOM folders are passed over: to read the headers of all their slices takes long.
    """
    files = [ct.path for ct in cts if not ct.path.is_dir()]
    heights = []
    for path in files[:: max(1, math.ceil(len(files) / MOST_HEADERS))]:
        with suppress(InputError, OSError):  # the case itself says what is wrong with it
            heights.append(check_image(path).height_mm)
    return heights
