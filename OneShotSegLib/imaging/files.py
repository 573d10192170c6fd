"""Reading and writing volumes: NIfTI, NRRD, MetaImage and DICOM series."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.itk import from_itk, to_itk
from OneShotSegLib.imaging.volume import Volume

SUFFIXES = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd")
MAX_VOXELS = 2**31
UNEVEN_SLICES_MM = 0.1


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
    """The DICOM series in a folder (not below it)."""
    with _quiet_itk():
        return tuple(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)))


def read_volume(path: Path | str) -> Volume:
    """Read a scalar 3D image on its own grid.

    Args:
        path: A NIfTI, NRRD or MetaImage file, or a folder with one DICOM series.

    Raises:
        InputError: With one sentence, if the file is missing, broken, or no scalar 3D image.
    """
    return from_itk(read_itk(Path(path)))


def read_itk(path: Path) -> sitk.Image:
    """Like `read_volume`, but the SimpleITK image with its metadata."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    with _quiet_itk():
        return _read_series(path) if path.is_dir() else _read_file(path)


def _read_file(path: Path) -> sitk.Image:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    _execute(reader.ReadImageInformation, path)
    _check_header(path, reader.GetSize(), reader.GetNumberOfComponents())
    image = _execute(reader.Execute, path)
    return image[:, :, :, 0] if image.GetDimension() == 4 else image


def _check_header(path: Path, size: tuple[int, ...], components: int) -> None:
    extent = size[:3]
    if len(size) not in (3, 4) or (len(size) == 4 and size[3] != 1) or 1 in extent[:2]:
        found = " x ".join(str(n) for n in size)
        raise InputError(f"{path}: expected a 3D image, found one of {found} voxels ({len(size)} axes).")
    if components != 1:
        raise InputError(f"{path}: expected one value a voxel, found {components} (a colour or vector image).")
    if int(np.prod(extent, dtype=object)) > MAX_VOXELS:
        found = " x ".join(str(n) for n in extent)
        raise InputError(f"{path}: expected at most 2^31 voxels, found a header of {found}.")


def _read_series(folder: Path) -> sitk.Image:
    ids = series_ids(folder)
    if len(ids) != 1:
        raise InputError(f"{folder}: expected one DICOM series in this folder, found {len(ids)}.")
    reader = sitk.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(str(folder), ids[0])
    if len(names) < 2 and _slices_in(names[0]) < 2:
        raise InputError(f"{folder}: expected a DICOM series of several slices, found one slice.")
    reader.SetFileNames(names)
    image = _execute(reader.Execute, folder)
    _check_header(folder, image.GetSize(), image.GetNumberOfComponentsPerPixel())
    _check_even_slices(folder, image)
    return image


def _slices_in(name: str) -> int:
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    reader.ReadImageInformation()
    size = reader.GetSize()
    return size[2] if len(size) > 2 else 1


def _check_even_slices(folder: Path, image: sitk.Image) -> None:
    key = "ITK_non_uniform_sampling_deviation"
    deviation = float(image.GetMetaData(key)) if image.HasMetaDataKey(key) else 0.0
    if deviation > UNEVEN_SLICES_MM:
        raise InputError(
            f"{folder}: expected evenly spaced slices, found a deviation of {deviation:.2f} mm (a slice is missing?)."
        )


def _execute(read, path: Path):  # type: ignore[no-untyped-def]
    try:
        return read()
    except RuntimeError as error:
        raise InputError(f"{path}: expected a readable image, found {_reason(error)}.") from error


def _reason(error: RuntimeError) -> str:
    text = str(error)
    if "Unable to determine ImageIO reader" in text:
        return "a file of an unknown format"
    return "a broken or truncated file"


@contextmanager
def _quiet_itk() -> Iterator[None]:
    """Silence ITK's own warnings on standard error: what matters is raised as a sentence."""
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
    """
    image = to_itk(volume)
    for key, value in metadata:
        image.SetMetaData(key, value)
    with whole_file(Path(path)) as beside:
        sitk.WriteImage(image, str(beside), useCompression=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes ``path``'s place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = suffix_of(path) or path.suffix
    beside = path.with_name(f".{uuid.uuid4().hex}{suffix}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
