"""What a propagation would do: its cases and what it would leave out; nothing is computed or written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Emit, ignore_events
from OneShotSegLib.imaging.dicom.regular import grid_of
from OneShotSegLib.imaging.dicom_series import series_slices
from OneShotSegLib.imaging.files import check_image
from OneShotSegLib.imaging.inputs import LeftOut
from OneShotSegLib.runner.inputs import emit_left_out, find_inputs
from OneShotSegLib.runner.methods import method_named
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.runner.supports import check_supports
from OneShotSegLib.study.case_state import result_of
from OneShotSegLib.study.description import StudyCase, StudyDescription, name_cases
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.opening import check_output
from OneShotSegLib.timer import in_words

SECONDS_PER_CASE = 10.0
"""About what a case takes per support on one processor; of other machines only their own studies tell."""

State = Literal["new", "done before", "to be done"]


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
        state: Whether it is new in the study, done before, or waits there.
        problem: Why it would fail, as far as the headers say; '' for nothing.
        notes: What of it would be mended or left out on reading, as far as the headers say, each the end of a sentence.
    """

    case: str
    source: Path
    series: str = ""
    size: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    region: str = ""
    state: State = "new"
    problem: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do.

    Attributes:
        cases: Its cases, those that are done before included.
        left_out: What of the queries it would not use.
        seconds: How long it would take, roughly.
        text: The same in words.
    """

    cases: tuple[PlannedCase, ...]
    left_out: tuple[LeftOut, ...]
    seconds: float
    text: str


def plan_batch(request: PropagationRequest, emit: Emit = ignore_events) -> Plan:
    """Say what `propagate_batch` would do with this request, from headers alone.

    Args:
        request: What to do.
        emit: Takes "case_found" for each case, "left_out", and at last "planned".

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
    known = StudyDescription.read(paths).cases if paths.description.exists() else ()
    cases = tuple(_planned(case, paths, case in known) for case in (*known, *name_cases(found.cts, known)))
    seconds, text = _estimate(request, paths, cases)
    for case in cases:
        emit("case_found", **_fields(case))
    emit_left_out(found.left_out, emit)
    emit("planned", text=text, seconds=round(seconds))
    return Plan(cases=cases, left_out=found.left_out, seconds=seconds, text=text)


def _fields(case: PlannedCase) -> Mapping[str, Any]:
    return {
        "case": case.case,
        "source": str(case.source),
        "series": case.series,
        "size": list(case.size),
        "spacing": [round(step, 4) for step in case.spacing],
        "region": case.region,
        "state": case.state,
        "problem": case.problem,
        "notes": list(case.notes),
    }


def _planned(case: StudyCase, paths: StudyPaths, is_known: bool) -> PlannedCase:
    done = result_of(paths.case(case.case)) is not None
    state: State = "done before" if done else "to be done" if is_known else "new"
    planned = PlannedCase(case=case.case, source=Path(case.source), series=case.series, state=state)
    try:
        return _with_header(planned)
    except (InputError, OSError) as error:
        return replace(planned, problem="" if done else str(error))


def _with_header(case: PlannedCase) -> PlannedCase:
    """The case with what its CT's headers say."""
    if not case.source.is_dir():
        header = check_image(case.source)
        return replace(case, size=header.size[2::-1], spacing=header.spacing[2::-1], notes=header.notes)
    stack = series_slices(case.source, case.series)
    grid = grid_of(stack, case.source)
    return replace(
        case,
        size=grid.shape,
        spacing=(grid.step, *map(float, stack.pixel)),
        region=stack.slices[0].body_part,
        notes=stack.notes,
    )


def _estimate(request: PropagationRequest, paths: StudyPaths, cases: Iterable[PlannedCase]) -> tuple[float, str]:
    """How long the cases take that are not done yet, in s and in words."""
    names = [case.case for case in cases]
    qualities = [quality for name in names if (quality := result_of(paths.case(name))) is not None]
    took = [sum(quality.seconds.values()) for quality in qualities if quality.seconds]
    per_case = median(took) if took else SECONDS_PER_CASE * len(request.supports)
    left = len(names) - len(qualities)
    seconds = left * per_case / (request.workers or 1)
    basis = "as the cases of this study took" if took else "a rough figure: it depends on the machine"
    cases_in_all = f"{len(names)} case{'' if len(names) == 1 else 's'}"
    text = f"{cases_in_all}, {left} to do: about {in_words(seconds)} at {per_case:.0f} s per case ({basis})."
    return (seconds, text) if left else (0.0, f"{cases_in_all}, none to do.")
