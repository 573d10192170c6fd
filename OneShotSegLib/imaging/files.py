"""Files of volumes: finding them, reading NIfTI, NRRD, MetaImage and DICOM series, and writing all but DICOM."""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.imaging.dicom_series import read_folder, series_ids
from OneShotSegLib.imaging.headers import HeaderGrid
from OneShotSegLib.imaging.integrity import (
    all_finite,
    can_hold,
    has_header,
    has_readable_axes,
    inspect_nifti,
    is_whole_meta_image,
    is_whole_nifti,
    is_whole_nrrd,
)
from OneShotSegLib.imaging.itk import from_itk, to_itk
from OneShotSegLib.imaging.itk_reading import check_header, execute, quiet_itk, reason, unreadable
from OneShotSegLib.imaging.meta_header import meta_grid
from OneShotSegLib.imaging.nifti_header import (
    check_scale,
    copy_without_intercept,
    has_stray_intercept,
    nifti_grid,
    read_nifti_header,
)
from OneShotSegLib.imaging.nrrd_header import nrrd_grid
from OneShotSegLib.imaging.volume import Volume

if TYPE_CHECKING:
    # Elsewhere it is imported where it is used: Slicer's own process must not import it at start-up.
    import SimpleITK as sitk  # noqa: N813

log = logging.getLogger(__name__)

SUFFIXES = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd")
GENERIC_STEMS = ("ct", "image", "img", "scan", "volume", "data")
"""Names of files that say nothing of whose CT it is: the folder's name does."""
LABEL_STEMS = ("seg", "label", "labels", "reference", "segmentation")
"""Names of label maps in a case's folder."""
SEGMENTATION = ".seg.nrrd"
WRITABLE = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha")


def suffix_of(path: Path) -> str:
    """The image suffix of a file name ('.nii.gz' counts as one), or ''."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def stem_of(path: Path) -> str:
    """The file name without its image suffix."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def find_volumes(path: Path) -> list[Path]:
    """The volumes that a path names: a file, a DICOM folder, or a folder of files and DICOM folders.

    Masks that lie next to a CT are left out, which is logged as a warning: Slicer segmentations, and files named seg,
    label and the like beside one named ct and the like.

    Raises:
        InputError: If there is nothing there that can be read.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    if path.is_file():
        return [path]
    files = _volume_files(path)
    if files:
        _say_left_out([path], files)
        return files
    if series_ids(path):
        return [path]
    nested = [p for p in sorted(path.iterdir()) if p.is_dir() and (series_ids(p) or _volume_files(p))]
    found = [volume for folder in nested for volume in (_volume_files(folder) or [folder])]
    if not found:
        raise InputError(f"{path}: expected NIfTI, NRRD, MetaImage files or DICOM series in this folder, found none.")
    _say_left_out(nested, found)
    return found


def _say_left_out(folders: Iterable[Path], volumes: Iterable[Path]) -> None:
    """Log which masks lie next to the volumes and are none of them."""
    taken = set(volumes)
    masks = [f"{p.parent.name}/{p.name}" for folder in folders for p in _image_files(folder) if p not in taken]
    if masks:
        some = ", ".join(masks[:3]) + (" ..." if len(masks) > 3 else "")
        log.warning("%d mask(s) next to the CTs are no cases, left out: %s.", len(masks), some)


def _image_files(folder: Path) -> list[Path]:
    """The visible NIfTI, NRRD and MetaImage files in a folder, not below it."""
    return sorted(p for p in folder.iterdir() if p.is_file() and suffix_of(p) and not p.name.startswith("."))


def _volume_files(folder: Path) -> list[Path]:
    """The same without masks that lie next to a CT."""
    found = _image_files(folder)
    is_case = any(stem_of(path).casefold() in GENERIC_STEMS for path in found)
    masks = [
        path
        for path in found
        if suffix_of(path) == SEGMENTATION or (is_case and stem_of(path).casefold() in LABEL_STEMS)
    ]
    return [path for path in found if path not in masks] or found


def read_volume(path: Path | str) -> Volume:
    """Read a scalar 3D image on its own grid.

    The grid must be whole in the file, regular and plausible (`imaging.grids`); sizes in other units than mm are
    converted, which is logged as a warning. Voxels that are no numbers (NaN or infinite) are refused in every format.

    Args:
        path: A NIfTI, NRRD or MetaImage file, or a folder with one DICOM series of a CT (`read_series`); other series
            there, such as structure sets, doses and localizers, do not matter.

    Raises:
        InputError: With one sentence, if the file is missing, broken, or no scalar 3D image.
    """
    path = Path(path)
    if path.is_dir():
        return read_folder(path)
    return from_itk(read_itk(path))


def read_itk(path: Path, layers: bool = False) -> sitk.Image:
    """Like `read_volume`, but the SimpleITK image with its metadata.

    Args:
        path: A file, or a folder with one DICOM series.
        layers: Accept several values per voxel too, the layers of a segmentation.

    Raises:
        InputError: As `read_volume`.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    if path.is_dir():
        return to_itk(read_folder(path))
    with quiet_itk():
        return _read_file(path, layers)


def _read_file(path: Path, layers: bool) -> sitk.Image:
    import SimpleITK as sitk  # noqa: N813

    if not suffix_of(path):
        raise InputError(f"{path}: expected a NIfTI, NRRD or MetaImage file or a DICOM folder, found another file.")
    if suffix_of(path) in (".mha", ".mhd") and not has_readable_axes(path):
        raise unreadable(path)
    reader = sitk.ImageFileReader()
    with _readable(path) as readable:
        reader.SetFileName(str(readable))
        _read_header(reader, path)
        check_header(path, reader.GetSize(), 1 if layers else reader.GetNumberOfComponents())
        if not can_hold(path, math.prod(reader.GetSize()) * reader.GetNumberOfComponents()):
            raise unreadable(path)
        grid = _grid(path)
        image = execute(reader.Execute, path)
    _check_voxels(path, image)
    image = image[:, :, :, 0] if image.GetDimension() == 4 else image
    for note in grid.notes:
        log.warning("%s: %s.", path, note)
    return _on_grid(image, grid)


def _read_header(reader: sitk.ImageFileReader, path: Path) -> None:
    """Have the reader read the header; where it cannot, for a grid that is none, this is what is said."""
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if has_header(path):
            _grid(path)
        raise unreadable(path, reason(error)) from error


def _grid(path: Path) -> HeaderGrid:
    """The grid that the file's own header describes."""
    suffix = suffix_of(path)
    if suffix.startswith(".nii"):
        header = read_nifti_header(path)
        if header is None:
            raise unreadable(path)
        check_scale(path, header)
        return nifti_grid(path, header)
    return meta_grid(path) if suffix in (".mha", ".mhd") else nrrd_grid(path)


def _on_grid(image: sitk.Image, grid: HeaderGrid) -> sitk.Image:
    """The image on the grid of its header, where its reader made another one of it."""
    found = (np.asarray(image.GetSpacing()), np.asarray(image.GetOrigin()), np.reshape(image.GetDirection(), (3, 3)))
    if not grid.agrees_with(*found):
        image.SetSpacing([float(value) for value in grid.spacing])
        image.SetOrigin([float(value) for value in grid.origin])
        image.SetDirection([float(value) for value in grid.direction.ravel()])
    return image


def _check_voxels(path: Path, image: sitk.Image) -> None:
    """Refuse a file that lacks voxels, or has some that are no numbers."""
    import SimpleITK as sitk  # noqa: N813

    suffix = suffix_of(path)
    if suffix.startswith(".nii"):
        finite = inspect_nifti(path)
    else:
        whole = suffix != ".mha" or is_whole_meta_image(path)
        finite = all_finite(sitk.GetArrayViewFromImage(image)) if whole else None
    if finite is None:
        raise unreadable(path)
    if not finite:
        raise InputError(f"{path}: expected voxels that are numbers, found some that are none (NaN or infinite).")


@contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """The file as its reader reads it rightly: without an intercept that does not count, under an unambiguous name."""
    header = read_nifti_header(path) if suffix_of(path).startswith(".nii") else None
    if header is None or not has_stray_intercept(header):
        with _unambiguous_name(path) as name:
            yield name
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "volume.nii"
        try:
            copy_without_intercept(path, header, copy)
        except (OSError, EOFError, zlib.error) as error:
            raise unreadable(path) from error
        yield copy


@contextmanager
def _unambiguous_name(path: Path) -> Iterator[Path]:
    """The file, under another name if need be: the NIfTI reader mixes up x.nii.gz and x.nii in one folder."""
    if suffix_of(path) != ".nii.gz" or not any(path.with_name(stem_of(path) + s).exists() for s in (".nii", ".NII")):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        alias = Path(folder) / "volume.nii.gz"
        try:
            alias.symlink_to(path.resolve())
        except OSError:
            shutil.copyfile(path, alias)
        yield alias


def _is_whole(path: Path) -> bool:
    suffix = suffix_of(path)
    if suffix.startswith(".nii"):
        return is_whole_nifti(path)
    return suffix != ".mha" or is_whole_meta_image(path)


def write_volume(volume: Volume, path: Path | str, metadata: Iterable[tuple[str, str]] = ()) -> None:
    """Write a volume, compressed; the file appears whole or not at all.

    Args:
        volume: What to write.
        path: Where; the suffix chooses the format.
        metadata: Keys and values for the header (NRRD keeps them).

    Raises:
        InputError: If the suffix names no format that keeps a volume in one file.
        OSError: If it could not be written (a full disk, a folder that is read-only).
    """
    import SimpleITK as sitk  # noqa: N813

    path = Path(path)
    if suffix_of(path) not in WRITABLE:
        raise InputError(f"{path}: expected a file name that ends in {', '.join(WRITABLE)} to write to.")
    image = to_itk(volume)
    for key, value in metadata:
        image.SetMetaData(key, value)
    with atomic_file(path, suffix_of(path)) as temporary, quiet_itk():
        try:
            sitk.WriteImage(image, str(temporary), useCompression=True)
        except RuntimeError as error:
            raise OSError(f"{path}: could not be written (is the disk full, or the folder read-only?).") from error
        if not (is_whole_nrrd(temporary) if suffix_of(path).endswith(".nrrd") else _is_whole(temporary)):
            raise OSError(f"{path}: could not be written to the end (is the disk full?).")
