"""Files of volumes: reading NIfTI, NRRD, MetaImage and DICOM series, and writing all but DICOM."""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.imaging.detached import voxel_files
from OneShotSegLib.imaging.dicom_series import read_folder
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
from OneShotSegLib.imaging.itk_reading import check_header, quiet_itk, reason, unreadable
from OneShotSegLib.imaging.meta_header import meta_grid
from OneShotSegLib.imaging.nifti_header import (
    check_scale,
    copy_without_intercept,
    has_stray_intercept,
    nifti_grid,
    read_nifti_header,
)
from OneShotSegLib.imaging.nrrd_header import nrrd_grid, unread_encoding
from OneShotSegLib.imaging.utf8_names import readable, writable
from OneShotSegLib.imaging.volume import Volume

if TYPE_CHECKING:
    # Elsewhere it is imported where it is used: Slicer's own process must not import it at start-up.
    import SimpleITK as sitk  # noqa: N813

log = logging.getLogger(__name__)

SUFFIXES = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd")
LABEL_STEMS = ("seg", "label", "labels", "reference", "segmentation")
"""Names of label maps in a case's folder."""
WRITABLE = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha")


def suffix_of(path: Path) -> str:
    """The image suffix of a file name ('.nii.gz' counts as one), or ''."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def stem_of(path: Path) -> str:
    """The file name without its image suffix."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def read_volume(path: Path | str, series: str = "") -> Volume:
    """Read a scalar 3D image on its own grid.

    The grid must be whole in the file, regular and plausible (`imaging.grids`); sizes in other units than mm are
    converted, which is logged as a warning. Voxels that are no numbers (NaN or infinite) are refused in every format.

    Args:
        path: A NIfTI, NRRD or MetaImage file, or a folder with one DICOM series of a CT (`read_series`); other series
            there, such as structure sets, doses and localizers, do not matter.
        series: Series instance UID, for a folder that holds several CT series.

    Raises:
        InputError: With one sentence, if the file is missing, broken, or no scalar 3D image.
    """
    path = Path(path)
    if path.is_dir():
        return read_folder(path, series)
    return from_itk(read_itk(path))


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """What the header of a volume file says of its voxels.

    Attributes:
        size: Number of voxels along each axis of the file, x first.
        spacing: Voxel size in mm in the same order.
        components: Values per voxel.
        is_8_bit: Whether each value is one byte.
        notes: What of the grid would be mended on reading, each the end of a sentence; only `check_image` fills it.
        height_mm: Extent along the patient, voxel edges included; only `check_image` fills it.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    components: int
    is_8_bit: bool
    notes: tuple[str, ...] = ()
    height_mm: float = 0.0

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return math.prod(self.size)


def read_image_header(path: Path) -> ImageHeader:
    """Read the header of a NIfTI, NRRD or MetaImage file, not its voxels.

    Raises:
        InputError: With one sentence, if it cannot be read.
        OSError: If the file cannot be opened.
    """
    import SimpleITK as sitk  # noqa: N813

    path.open("rb").close()  # a plain error for a file that may not be read
    if suffix_of(path) in (".mha", ".mhd") and not has_readable_axes(path):
        raise unreadable(path)
    reader = sitk.ImageFileReader()
    with quiet_itk(), _unambiguous_name(path) as unambiguous, readable(unambiguous) as name:
        reader.SetFileName(str(name))
        _read_header(reader, path)
    kinds = {sitk.sitkUInt8, sitk.sitkInt8, sitk.sitkVectorUInt8, sitk.sitkVectorInt8}
    return ImageHeader(
        size=tuple(reader.GetSize()),
        spacing=tuple(reader.GetSpacing()),
        components=reader.GetNumberOfComponents(),
        is_8_bit=reader.GetPixelIDValue() in kinds,
    )


def check_image(path: Path) -> ImageHeader:
    """Read the header of a volume file and check it as `read_volume` would; its voxels are not read.

    Raises:
        InputError: With one sentence, if the header cannot be read, or is not that of a scalar 3D image on a regular
            grid.
        OSError: If the file cannot be opened.
    """
    header = read_image_header(path)
    check_header(path, header.size, header.components)
    grid = _grid(path)
    spacing = tuple(map(float, grid.spacing))
    along = int(np.abs(grid.direction[2]).argmax())
    return replace(header, spacing=spacing, notes=grid.notes, height_mm=header.size[along] * spacing[along])


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
    with _rightly_read(path) as unambiguous, readable(unambiguous) as name:
        reader.SetFileName(str(name))
        _read_header(reader, path)
        check_header(path, reader.GetSize(), 1 if layers else reader.GetNumberOfComponents())
        if not can_hold(path, math.prod(reader.GetSize()) * reader.GetNumberOfComponents()):
            raise unreadable(path)
        grid = _grid(path)
        try:
            image = reader.Execute()
        except RuntimeError as error:
            raise unreadable(path, _lacking(path) or reason(error)) from error
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
        raise unreadable(path, _lacking(path) or reason(error)) from error


def _lacking(path: Path) -> str:
    """What a file is that its reader cannot read although there is no damage to it; '' if nothing is known."""
    missing = [file for file in voxel_files(path) if not file.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"a header whose file of voxels is not there ({missing[0].name}{more})"
    return unread_encoding(path) if suffix_of(path) in (".nrrd", ".nhdr", ".seg.nrrd") else ""


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
def _rightly_read(path: Path) -> Iterator[Path]:
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
    """The file, under another name if need be, as the NIfTI reader goes by names.

    It mixes up x.nii.gz and x.nii in one folder, reads no compressed file that is not named as one, and no name in both
    small and capital letters.
    """
    suffix = suffix_of(path)
    if not suffix.startswith(".nii"):
        yield path
        return
    wanted = ".nii.gz" if _is_compressed(path) else ".nii"
    has_twin = suffix == ".nii.gz" and any(path.with_name(stem_of(path) + s).exists() for s in (".nii", ".NII"))
    written = path.name[len(path.name) - len(suffix) :]
    if not has_twin and suffix == wanted and written in (suffix, suffix.upper()):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        alias = Path(folder) / f"volume{wanted}"
        try:
            alias.symlink_to(path.resolve())
        except OSError:
            shutil.copyfile(path, alias)
        yield alias


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


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
    path = Path(path)
    if suffix_of(path) not in WRITABLE:
        raise InputError(f"{path}: expected a file name that ends in {', '.join(WRITABLE)} to write to.")
    image = to_itk(volume)
    for key, value in metadata:
        image.SetMetaData(key, value)
    write_image(image, path)


def write_image(image: sitk.Image, path: Path) -> None:
    """Write a SimpleITK image as `write_volume` does, to a path of a suffix that it can be written with.

    Raises:
        OSError: If it could not be written.
    """
    import SimpleITK as sitk  # noqa: N813

    with atomic_file(path, suffix_of(path)) as temporary, quiet_itk():
        try:
            with writable(temporary) as name:
                sitk.WriteImage(image, str(name), useCompression=True)
        except RuntimeError as error:
            raise OSError(f"{path}: could not be written (is the disk full, or the folder read-only?).") from error
        if not (is_whole_nrrd(temporary) if suffix_of(path).endswith(".nrrd") else _is_whole(temporary)):
            raise OSError(f"{path}: could not be written to the end (is the disk full?).")
