"""What a propagation would do: its cases and what it would leave out; nothing is computed or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Emit, ignore_events
from OneShotSegLib.imaging.dicom.regular import grid_of
from OneShotSegLib.imaging.dicom_series import series_slices
from OneShotSegLib.imaging.files import check_image
from OneShotSegLib.imaging.input_search import series_in
from OneShotSegLib.imaging.inputs import LeftOut
from OneShotSegLib.inference.engine import CPU
from OneShotSegLib.method.structures import common_structures, structures_of
from OneShotSegLib.networks.weights import load_weights
from OneShotSegLib.networks.weights_selection import choose_weights
from OneShotSegLib.runner.batch import emit_revision
from OneShotSegLib.runner.inputs import cts_of_supports, emit_left_out, find_inputs
from OneShotSegLib.runner.known_cases import KnownCases
from OneShotSegLib.runner.methods import method_named
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.runner.reviewed import choose_reviewed
from OneShotSegLib.runner.standing import CaseStanding, Standing, revision_text, standings
from OneShotSegLib.runner.support_advice import support_warnings
from OneShotSegLib.runner.supports import check_supports, describe, read_supports
from OneShotSegLib.study.case_ct import fingerprint_of_ct
from OneShotSegLib.study.description import StudyCase, StudyDescription, name_cases
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.opening import check_output, continued
from OneShotSegLib.study.quality import CaseQuality
from OneShotSegLib.timer import in_words

SECONDS_PER_CASE = 10.0
"""About what a case takes per support on one processor; of other machines only their own studies tell."""


@dataclass(frozen=True, kw_only=True)
class PlannedCase:
    """A case as a run would have it.

    Attributes:
        case: Its name.
        source: Where its CT lies.
        series: Series instance UID where the source is a folder with several CT series, else ''.
        size: Voxels, [z, y, x] of the file; () if the header cannot be read.
        spacing: Voxel size, mm, in the same order; () likewise.
        region: Which part of the body it shows, in the words of its DICOM header (BodyPartExamined, which some sites
            never change); '' where the header says nothing, as in NIfTI. The voxels tell in the run itself.
        state: Whether it is new in the study, waits there, is done, is recomputed, or stays because it was decided.
        problem: Why it would fail, as far as the headers say; '' for nothing.
        notes: What of it would be mended or left out on reading, as far as the headers say, each the end of a sentence.
        height_mm: Height of its field of view; 0 if the header cannot be read.
    """

    case: str
    source: Path
    series: str = ""
    size: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    region: str = ""
    state: Standing = Standing.NEW
    problem: str = ""
    notes: tuple[str, ...] = ()
    height_mm: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do.

    Attributes:
        cases: Its cases, those that are done before included.
        left_out: What of the queries it would not use.
        seconds: How long it would take, roughly.
        text: The same in words.
        revision: What the revision that it is of changes, in words; '' where no case is recomputed for it.
        warnings: Sentences on supports that are outliers of the batch.
    """

    cases: tuple[PlannedCase, ...]
    left_out: tuple[LeftOut, ...]
    seconds: float
    text: str
    revision: str = ""
    warnings: tuple[str, ...] = ()


def plan_batch(request: PropagationRequest, emit: Emit = ignore_events) -> Plan:
    """Say what `propagate_batch` would do with this request, from headers alone; nothing is written.

    If the study is there, its supports are read too, to say which cases would be recomputed.

    Args:
        request: What to do.
        emit: Takes "revision" if cases are recomputed, "case_found" for each case, "left_out", any "warning", and at
            last "planned".

    Raises:
        InputError: If supports, scribbles, queries or output are not there or cannot be used.
    """
    method_named(request.method)
    check_supports(request)
    paths = StudyPaths(request.output)
    check_output(paths)
    found = find_inputs(
        paths, request.queries, supports=request.supports, scribbles=request.scribbles, series=request.series
    )
    there = StudyDescription.read(paths) if paths.description.exists() else None
    known = there.cases if there is not None else ()
    own = cts_of_supports(request.supports, request.series) if request.support_cases else ()
    fresh = name_cases((*own, *found.cts), known)
    states: dict[str, CaseStanding] = {case.case: CaseStanding(Standing.NEW) for case in fresh}
    revision = ""
    if there is not None:
        description, support_cts = _continued(request, paths, there)
        of_known = standings(paths, description, support_cts)
        states |= of_known
        begun = description.revision != there.revision
        if begun or any(one.standing is Standing.RECOMPUTED for one in of_known.values()):
            revision = revision_text(description, of_known.values())
            emit_revision(description, of_known, emit, begun)
    cases = tuple(_planned(case, states[case.case].standing) for case in (*known, *fresh))
    seconds, text = _estimate(request, cases, [one.quality for one in states.values() if one.quality is not None])
    for case in cases:
        emit("case_found", **_fields(case))
    emit_left_out(found.left_out, emit)
    warnings = _support_warnings(request, cases)
    for warning in warnings:
        emit("warning", text=warning)
    emit("planned", text=text, seconds=round(seconds))
    return Plan(
        cases=cases, left_out=found.left_out, seconds=seconds, text=text, revision=revision, warnings=tuple(warnings)
    )


def _support_warnings(request: PropagationRequest, cases: Sequence[PlannedCase]) -> list[str]:
    supports = [
        _planned(StudyCase(path.name, str(path), series_in(path, request.series)), Standing.NEW)
        for path in request.supports
    ]
    heights = {support.case: support.height_mm for support in supports if support.height_mm}
    return support_warnings(heights, [case.height_mm for case in cases if case.height_mm])


def _continued(
    request: PropagationRequest, paths: StudyPaths, there: StudyDescription
) -> tuple[StudyDescription, set[str]]:
    """The study as the run would have it, and the fingerprints of its supports' CTs.

    Raises:
        InputError: If supports or weights cannot be used.
    """
    supports = read_supports(request, there.table)
    images_place = method_named(request.method).registration.enabled
    weights = load_weights(choose_weights(request.weights, supports[0].ct, CPU, images_place), CPU)
    structures = common_structures([structures_of(one.scribbles) for one in supports]).foreground
    masks = choose_reviewed(paths, request.reviewed, structures, KnownCases(cases=list(there.cases)))
    wanted = describe(request, supports, weights, CPU, there, masks)
    kept = () if request.support_cases else supports
    return continued(paths, there, wanted), {fingerprint_of_ct(one.ct) for one in kept}


def _fields(case: PlannedCase) -> Mapping[str, Any]:
    return {
        "case": case.case,
        "source": str(case.source),
        "series": case.series,
        "size": list(case.size),
        "spacing": [round(step, 4) for step in case.spacing],
        "region": case.region,
        "state": str(case.state),
        "problem": case.problem,
        "notes": list(case.notes),
    }


def _planned(case: StudyCase, state: Standing) -> PlannedCase:
    planned = PlannedCase(case=case.case, source=Path(case.source), series=case.series, state=state)
    try:
        return _with_header(planned)
    except (InputError, OSError) as error:
        return replace(planned, problem="" if state.stays else str(error))


def _with_header(case: PlannedCase) -> PlannedCase:
    """The case with what its CT's headers say."""
    if not case.source.is_dir():
        header = check_image(case.source)
        return replace(
            case, size=header.size[2::-1], spacing=header.spacing[2::-1], notes=header.notes, height_mm=header.height_mm
        )
    stack = series_slices(case.source, case.series)
    grid = grid_of(stack, case.source)
    return replace(
        case,
        size=grid.shape,
        spacing=(grid.step, *map(float, stack.pixel)),
        region=stack.slices[0].body_part,
        notes=stack.notes,
        height_mm=grid.shape[0] * float(grid.step),
    )


def _estimate(
    request: PropagationRequest, cases: Sequence[PlannedCase], qualities: Sequence[CaseQuality]
) -> tuple[float, str]:
    """How long the cases take that are not done yet, in s and in words."""
    took = [sum(quality.seconds.values()) for quality in qualities if quality.seconds]
    per_case = median(took) if took else SECONDS_PER_CASE * len(request.supports)
    left = sum(not case.state.stays for case in cases)
    seconds = left * per_case / (request.workers or 1)
    basis = "as the cases of this study took" if took else "a rough figure: it depends on the machine"
    cases_in_all = f"{len(cases)} case{'' if len(cases) == 1 else 's'}"
    text = f"{cases_in_all}, {left} to do: about {in_words(seconds)} at {per_case:.0f} s per case ({basis})."
    return (seconds, text) if left else (0.0, f"{cases_in_all}, none to do.")
