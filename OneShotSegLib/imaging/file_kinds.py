"""What a volume file holds, from its header; its voxels are read only where it looks like a label map."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_image_header, read_itk, stem_of, suffix_of
from OneShotSegLib.imaging.inputs import FoundCT, Kind, LeftOut

MASK_WORD = re.compile(
    r"segs?|segmentations?|labels?|labelmaps?|masks?|scribbles?|gt|groundtruth|contours?|rois?|pred|predictions?|"
    r"annotations?"
)
DETACHED = (".nhdr", ".mhd")
MOST_LABELS = 256
FEW_LABELS = 16
EQUAL_NEIGHBOURS = 0.8
BYTES_PER_VOXEL_OF_MASKS = 0.2
SAMPLES, SAMPLE_BYTES, FEW_BYTES = 8, 2**15, 24


def file_kind(path: Path, explicit: bool = False) -> FoundCT | LeftOut:
    """A volume file as a CT, or why it is none.

    Args:
        path: A NIfTI, NRRD or MetaImage file that is there.
        explicit: Whether it was named itself: then its voxels are looked at only if its name is that of a mask, and a
            file that cannot be read is left to the run, which says why.
    """
    if path.name.lower().endswith(".seg.nrrd"):
        return LeftOut(path=path, kind=Kind.LABEL_MAP, reason="a segmentation")
    if not str(path).isprintable() and any(0xDC80 <= ord(sign) <= 0xDCFF for sign in str(path)):
        return FoundCT(path=path)  # a name that is no text: its header is read with its voxels
    try:
        header = read_image_header(path)
    except (InputError, OSError) as error:
        if explicit:
            return FoundCT(path=path)
        return LeftOut(path=path, kind=Kind.UNREADABLE, reason=_phrase(path, error))
    if len([extent for extent in header.size if extent > 1]) < 3:
        reason = "a single slice, not a volume"
        return LeftOut(path=path, kind=Kind.SINGLE_SLICE, reason=reason)
    if len(header.size) > 3 and any(extent != 1 for extent in header.size[3:]):
        reason = f"an image of {' x '.join(map(str, header.size))} voxels, not one volume"
        return LeftOut(path=path, kind=Kind.NOT_3D, reason=reason)
    if header.components != 1:
        reason = f"{header.components} values per voxel (a colour or vector image, or layers of a segmentation)"
        return LeftOut(path=path, kind=Kind.NOT_3D, reason=reason)
    named = is_named_as_mask(path)
    if named or (not explicit and (header.is_8_bit or _looks_sparse(path, header.voxels))):
        reason = _mask_in(path, named)
        if reason:
            return LeftOut(path=path, kind=Kind.LABEL_MAP, reason=reason)
    return FoundCT(path=path, size=header.size[:3], spacing=header.spacing[:3])


def is_named_as_mask(path: Path) -> bool:
    """Whether a file's name has a word in it that masks are named by."""
    words = re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", stem_of(path)).lower())
    return any(map(MASK_WORD.fullmatch, words))


def is_label_map(array: NDArray[Any], named: bool = False) -> bool:
    """Whether voxels are labels: few whole numbers from 0, and neighbours mostly equal.

    Args:
        array: Voxels, shape (D, H, W).
        named: Whether the file is named as a mask: then few whole numbers are enough.
    """
    if array.size == 0 or not np.isfinite(array).all():
        return False
    if array.min() < 0 or array.max() > 2**16 or (array.dtype.kind == "f" and (array != np.rint(array)).any()):
        return False
    distinct = len(np.unique(array))
    if distinct > MOST_LABELS:
        return False
    return named or distinct <= FEW_LABELS or bool((array[..., 1:] == array[..., :-1]).mean() >= EQUAL_NEIGHBOURS)


@dataclass(frozen=True)
class _Sample:
    distinct: int
    size: int


def _looks_sparse(path: Path, voxels: int) -> bool:
    """Whether a file is as small, or as monotonous, as label maps are."""
    if suffix_of(path) in DETACHED:
        return False
    sample = _sample(path)
    return sample.size < BYTES_PER_VOXEL_OF_MASKS * voxels or sample.distinct < FEW_BYTES


def _sample(path: Path) -> _Sample:
    size = path.stat().st_size
    found: set[int] = set()
    with path.open("rb") as file:
        for number in range(SAMPLES):
            # The header, which is text or numbers of its own, is not looked at.
            file.seek(4096 + max(size - 4096 - SAMPLE_BYTES, 0) * number // SAMPLES)
            found.update(file.read(SAMPLE_BYTES))
    return _Sample(len(found) or 256, size)


def _mask_in(path: Path, named: bool) -> str:
    """Why the voxels of a file are those of a mask; '' if they are not."""
    import SimpleITK as sitk  # noqa: N813

    try:
        array = sitk.GetArrayFromImage(read_itk(path))
    except (InputError, OSError):
        return "named as a mask, and cannot be read" if named else ""
    if array.min() == array.max() and not named:
        return ""  # the run says what is wrong with it
    if is_label_map(array, named):
        return "a label map"
    if named and array.min() >= 0 and array.max() <= 1:
        return "a mask of probabilities"
    return ""


def _phrase(path: Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or error})"
    return "cannot be read: " + str(error).removeprefix(f"{path}: ").rstrip(".")
