"""Reading and writing volumes: NIfTI, NRRD, MetaImage and DICOM series."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.imaging.integrity import (
    can_hold,
    has_readable_axes,
    is_whole_meta_image,
    is_whole_nifti,
    is_whole_nrrd,
)
from OneShotSegLib.imaging.itk import from_itk, to_itk
from OneShotSegLib.imaging.volume import Volume

if TYPE_CHECKING:
    # Elsewhere it is imported where it is used: Slicer's own process must not import it at start-up.
    import SimpleITK as sitk  # noqa: N813

SUFFIXES = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd")
WRITABLE = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha")
MAX_VOXELS = 2**31
UNEVEN_SLICES_MM = 0.1
SLICE_POSITION = "0020|0032"


def suffix_of(path: Path) -> str:
    """The image suffix of a file name ('.nii.gz' counts as one), or ''."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def stem_of(path: Path) -> str:
    """The file name without its image suffix."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def find_volumes(path: Path) -> list[Path]:
    """The volumes that a path names: a file, a DICOM folder, or a folder of files and DICOM folders.

    Raises:
        InputError: If there is nothing there that can be read.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    if path.is_file():
        return [path]
    files = sorted(p for p in path.iterdir() if p.is_file() and suffix_of(p) and not p.name.startswith("."))
    if files:
        return files
    if series_ids(path):
        return [path]
    nested = [p for p in sorted(path.iterdir()) if p.is_dir() and (series_ids(p) or _volume_files(p))]
    found = [volume for folder in nested for volume in (_volume_files(folder) or [folder])]
    if not found:
        raise InputError(f"{path}: expected NIfTI, NRRD, MetaImage files or DICOM series in this folder, found none.")
    return found


def _volume_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and suffix_of(p) and not p.name.startswith("."))


def series_ids(folder: Path) -> tuple[str, ...]:
    """The DICOM series in a folder (not below it).

    Raises:
        InputError: If a file there is damaged so that nothing can be told.
    """
    import SimpleITK as sitk  # noqa: N813

    with _quiet_itk():
        return _execute(lambda: tuple(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))), folder)


def read_volume(path: Path | str) -> Volume:
    """Read a scalar 3D image on its own grid.

    Args:
        path: A NIfTI, NRRD or MetaImage file, or a folder with one DICOM series.

    Raises:
        InputError: With one sentence, if the file is missing, broken, or no scalar 3D image.
    """
    return from_itk(read_itk(Path(path)))


def read_itk(path: Path, layers: bool = False) -> sitk.Image:
    """Like `read_volume`, but the SimpleITK image with its metadata.

    Args:
        path: A file, or a folder with one DICOM series.
        layers: Take several values a voxel too, as the layers of a segmentation.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    with _quiet_itk():
        image = _read_series(path) if path.is_dir() else _read_file(path, layers)
    _check_axes(path, image)
    return image


def _read_file(path: Path, layers: bool) -> sitk.Image:
    import SimpleITK as sitk  # noqa: N813

    if not suffix_of(path):
        raise InputError(f"{path}: expected a NIfTI, NRRD or MetaImage file or a DICOM folder, found another file.")
    if suffix_of(path) in (".mha", ".mhd") and not has_readable_axes(path):
        raise _broken(path)
    reader = sitk.ImageFileReader()
    with _apart(path) as apart:
        reader.SetFileName(str(apart))
        _execute(reader.ReadImageInformation, path)
        _check_header(path, reader.GetSize(), 1 if layers else reader.GetNumberOfComponents())
        if not can_hold(path, math.prod(reader.GetSize()) * reader.GetNumberOfComponents()):
            raise _broken(path)
        image = _execute(reader.Execute, path)
    if not _is_whole(path):
        raise _broken(path)
    return image[:, :, :, 0] if image.GetDimension() == 4 else image


@contextmanager
def _apart(path: Path) -> Iterator[Path]:
    """The file under a name that nothing lies beside: the NIfTI reader would mix up x.nii.gz and x.nii."""
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


def _check_axes(path: Path, image: sitk.Image) -> None:
    direction = np.asarray(image.GetDirection()).reshape(3, 3)
    if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-3):
        raise InputError(f"{path}: expected a grid with axes at right angles, found a sheared one.")


def _check_header(path: Path, size: tuple[int, ...], components: int) -> None:
    extent = size[:3]
    if len(size) not in (3, 4) or (len(size) == 4 and size[3] != 1) or 1 in extent:
        found = " x ".join(str(n) for n in size)
        raise InputError(f"{path}: expected a 3D image, found one of {found} voxels ({len(size)} axes).")
    if components != 1:
        raise InputError(f"{path}: expected one value a voxel, found {components} (a colour or vector image).")
    if math.prod(extent) > MAX_VOXELS:
        found = " x ".join(str(n) for n in extent)
        raise InputError(f"{path}: expected at most 2^31 voxels, found a header of {found}.")


def series_files(folder: Path) -> tuple[str, ...]:
    """The files of a folder's one DICOM series, in the order of their slices.

    Raises:
        InputError: If it holds none or several.
    """
    import SimpleITK as sitk  # noqa: N813

    ids = series_ids(folder)
    if len(ids) != 1:
        raise InputError(f"{folder}: expected one DICOM series in this folder, found {len(ids)}.")
    with _quiet_itk():
        return _execute(lambda: tuple(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), ids[0])), folder)


def _read_series(folder: Path) -> sitk.Image:
    import SimpleITK as sitk  # noqa: N813

    names = series_files(folder)
    reader = sitk.ImageSeriesReader()
    if len(names) < 2 and _slices_in(names[0]) < 2:
        raise InputError(f"{folder}: expected a DICOM series of several slices, found one slice.")
    reader.SetFileNames(names)
    reader.MetaDataDictionaryArrayUpdateOn()
    image = _execute(reader.Execute, folder)
    _check_header(folder, image.GetSize(), image.GetNumberOfComponentsPerPixel())
    _check_even_slices(folder, image, reader, len(names))
    return image


def _slices_in(name: str) -> int:
    import SimpleITK as sitk  # noqa: N813

    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    _execute(reader.ReadImageInformation, Path(name))
    size = reader.GetSize()
    return size[2] if len(size) > 2 else 1


def _check_even_slices(folder: Path, image: sitk.Image, reader: sitk.ImageSeriesReader, count: int) -> None:
    if count < 3 or not all(reader.HasMetaDataKey(number, SLICE_POSITION) for number in range(count)):
        return
    positions = [reader.GetMetaData(number, SLICE_POSITION).split("\\") for number in range(count)]
    try:
        along = np.asarray(positions, dtype=np.float64) @ np.asarray(image.GetDirection()).reshape(3, 3)[:, 2]
    except ValueError as error:
        raise InputError(f"{folder}: expected positions of the slices, found some that are no numbers.") from error
    steps = np.diff(along)
    deviation = float(np.abs(steps - np.median(steps)).max())
    if not deviation <= UNEVEN_SLICES_MM:
        raise InputError(
            f"{folder}: expected evenly spaced slices, found a deviation of {deviation:.2f} mm (a slice is missing?)."
        )


def _execute(read, path: Path):  # type: ignore[no-untyped-def]
    try:
        return read()
    except RuntimeError as error:
        raise _broken(path, _reason(error)) from error


def _broken(path: Path, found: str = "a broken or truncated file") -> InputError:
    return InputError(f"{path}: expected a readable image, found {found}.")


def _reason(error: RuntimeError) -> str:
    text = str(error)
    if "Unable to determine ImageIO reader" in text:
        return "a file of an unknown format"
    if "orthonormal" in text:
        return "one whose axes are not at right angles"
    return "a broken or truncated file"


@contextmanager
def _quiet_itk() -> Iterator[None]:
    """Silence ITK's own warnings on standard error: what matters is raised as a sentence."""
    import SimpleITK as sitk  # noqa: N813

    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


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
    with atomic_file(path, suffix_of(path)) as beside, _quiet_itk():
        try:
            sitk.WriteImage(image, str(beside), useCompression=True)
        except RuntimeError as error:
            raise OSError(f"{path}: could not be written (is the disk full, or the folder read-only?).") from error
        if not (is_whole_nrrd(beside) if suffix_of(path).endswith(".nrrd") else _is_whole(beside)):
            raise OSError(f"{path}: could not be written to the end (is the disk full?).")
