"""What a worker holds: a case whose mask regrows, or a support whose own mask grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.imaging.boxes import Box, box_between, box_shape, cropped
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, write_label_map
from OneShotSegLib.imaging.labels import present_labels
from OneShotSegLib.imaging.rtstruct import read_labels_of
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.own_mask import OwnMask, SupportPreview
from OneShotSegLib.method.scribbles import on_support
from OneShotSegLib.runner.regrowth import CaseUnderReview
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.readers import reader_paths
from OneShotSegLib.study.structure_table import read_named_label_map
from OneShotSegLib.worker.requests import Request

Labels = NDArray[np.uint8]
Check = Callable[[], None]
Answer = dict[str, Any]
ARRAY = ".npy"
UNDO_STEPS = 50


class Session(Protocol):
    """Something that a worker holds."""

    def handle(self, request: Request, check: Check) -> Answer:
        """Do what a request asks for; ``check`` raises if it was cancelled."""


class CaseSession:
    """A case of a study under review."""

    def __init__(self, request: Request) -> None:
        study = reader_paths(StudyPaths(request.path("study")), request.text("reader", ""))
        self._case = CaseUnderReview(study, request.text("case"))
        self._before: list[tuple[Box, Labels, Labels]] = []

    def opened(self) -> Answer:
        """The answer to the request that opened it."""
        case = self._case
        return {
            "case": case.files.name,
            "state": case.state,
            **_described(case.ct, case.segments),
            "background": case.background,
            "strokes": int(np.count_nonzero(case.strokes)),
        }

    def handle(self, request: Request, check: Check) -> Answer:
        """Answer "regrow", "undo" and "save"."""
        if request.what == "regrow":
            return self._regrow(request, check)
        if request.what == "undo":
            return self._undo(request)
        if request.what == "save":
            return {"mask": str(self._case.save(reopen=request.flag("reopen")))}
        raise InputError(f"do: expected regrow, undo or save while a case is open, found {request.what!r}.")

    def _regrow(self, request: Request, check: Check) -> Answer:
        case, started = self._case, time.perf_counter()
        strokes = _strokes_of(request, "strokes", case.ct, case.segments, case.strokes_of)
        replace = request.flag("replace")
        result = case.replace(strokes, check) if replace else case.add(strokes, check)
        answer: Answer = {"changed_voxels": result.changed_voxels, "changed_ml": dict(result.changed_ml)}
        box = result.box or box_between((0, 0, 0), (0, 0, 0))
        # First the file: if it cannot be written, the case stays as it was.
        answer |= _written(request, result.mask, box)
        merged = strokes if replace else case.merged(strokes)
        check()
        if result.changed_voxels or not np.array_equal(merged, case.strokes):
            # Neither mask nor strokes change outside the box.
            self._before.append((box, case.mask[box].copy(), case.strokes[box].copy()))
            del self._before[:-UNDO_STEPS]
            case.take(result, merged)
        return {**answer, "seconds": round(time.perf_counter() - started, 3)}

    def _undo(self, request: Request) -> Answer:
        if not self._before:
            raise InputError("Expected a stroke to take back, found none.")
        case = self._case
        box, mask, strokes = self._before[-1]
        changed = int((mask != case.mask[box]).sum())
        whole, painted = case.mask.copy(), case.strokes.copy()
        whole[box], painted[box] = mask, strokes
        answer = _written(request, LabelMap(case.ct.with_array(whole), case.structures), box)
        case.mask, case.strokes = whole, painted
        self._before.pop()
        return {**answer, "changed_voxels": changed}


class SupportSession:
    """A support that is being scribbled."""

    def __init__(self, request: Request) -> None:
        source = request.path("ct")
        self._source = source
        self._ct = as_hounsfield(read_volume(source, request.text("series", "")), "The support")
        self._preview = SupportPreview(self._ct)
        self._latest: OwnMask | None = None

    def opened(self) -> Answer:
        """The answer to the request that opened it."""
        return _described(self._ct, ())

    def handle(self, request: Request, check: Check) -> Answer:
        """Answer "grow" and "save"."""
        if request.what == "grow":
            return self._grow(request, check)
        if request.what == "save":
            return self._save(request)
        raise InputError(f"do: expected grow or save while a support is open, found {request.what!r}.")

    def _grow(self, request: Request, check: Check) -> Answer:
        started = time.perf_counter()
        found = self._preview.grow(self._scribbles(request), check)
        part = cropped(self._ct, found.box).with_array(found.labels)
        answer = _written(request, LabelMap(part, found.segments), found.box, is_part=True)
        check()
        self._latest = found
        voxel_ml = float(np.prod(self._ct.spacing)) / 1000
        volumes = {s.name: round(int((found.labels == s.value).sum()) * voxel_ml, 3) for s in found.segments}
        return {
            **answer,
            "volumes_ml": volumes,
            "without_strokes": list(found.without_strokes),
            "seconds": round(time.perf_counter() - started, 3),
        }

    def _scribbles(self, request: Request) -> LabelMap:
        path = request.path("scribbles")
        if path.suffix == ARRAY:
            segments = request.segments()
            array = _strokes_of(request, "scribbles", self._ct, segments)
            return LabelMap(self._ct.with_array(array), segments)
        labels = on_support(read_labels_of(path, self._source, self._ct), self._ct)
        return labels.with_background(request.number("background", None))

    def _save(self, request: Request) -> Answer:
        if self._latest is None:
            raise InputError("Expected a mask that was grown, found none: send scribbles first.")
        target = request.path("to")
        write_label_map(self._preview.whole(self._latest), target)
        return {"mask": str(target)}


def _described(ct: Volume, segments: tuple[Segment, ...]) -> Answer:
    """A CT's grid, z, y, x, and what labels mean."""
    return {
        "shape": list(ct.shape),
        "spacing": [float(value) for value in ct.spacing],
        "origin": [float(value) for value in ct.origin],
        "direction": [[float(value) for value in row] for row in ct.direction],
        "segments": [{"value": s.value, "name": s.name, "color": list(s.color)} for s in segments],
    }


def _strokes_of(
    request: Request,
    field: str,
    ct: Volume,
    segments: Sequence[Segment],
    match: Callable[[LabelMap, Path], Labels] | None = None,
) -> Labels:
    """The strokes that a request names: a label map, or an array that holds the part of the CT in the request's box.

    Args:
        request: The request.
        field: Its field with the file.
        ct: The CT, shape (D, H, W).
        segments: What an array's values may be.
        match: Finds the strokes in a label map; None where there are none.

    Returns:
        Shape (D, H, W); 0 where nothing is painted.

    Raises:
        InputError: If they cannot be read, do not fit the CT, or have other values.
    """
    path = request.path(field)
    if path.suffix != ARRAY and match is not None:
        return match(read_named_label_map(path), path)
    part = _array_in(path)
    box = request.box(ct.shape)
    if part.shape != box_shape(box) or part.dtype != np.uint8:
        raise InputError(
            f"{path}: expected an array of uint8 of the box's shape {box_shape(box)}, found one of {part.dtype} and "
            f"{part.shape}."
        )
    unknown = sorted(set(present_labels(part)) - {segment.value for segment in segments})
    if unknown:
        raise InputError(f"{path}: expected values of the segments, found others: {str(unknown)[1:-1]}.")
    strokes = np.zeros(ct.shape, np.uint8)
    strokes[box] = part
    return strokes


def _array_in(path: Path) -> Any:
    """The array of a NumPy file.

    Raises:
        InputError: If it holds none.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile, MemoryError) as error:
        raise InputError(f"{path}: expected a NumPy array of labels, found none that can be read.") from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise InputError(f"{path}: expected a NumPy array of labels, found an archive of arrays.")
    return found


def _written(request: Request, mask: LabelMap, box: Box, is_part: bool = False) -> Answer:
    """Write the part of a mask in a box where the request wants it; what the answer says of it."""
    answer: Answer = {"box": [[part.start, part.stop] for part in box]}
    target = request.optional_path("to")
    if target is None:
        return answer
    part = mask.volume if is_part else None
    if target.suffix == ARRAY:
        array = part.array if part is not None else mask.volume.array[box]
        with atomic_file(target) as temporary:
            np.save(temporary, np.ascontiguousarray(array), allow_pickle=False)
    elif 0 not in box_shape(box):
        write_label_map(mask if is_part else mask.with_volume(cropped(mask.volume, box)), target)
    else:
        return answer
    return {**answer, "mask": str(target)}


OPENERS: Mapping[str, Callable[[Request], CaseSession | SupportSession]] = {
    "open_case": CaseSession,
    "open_support": SupportSession,
}
