"""DICOM series: finding them in a folder, the order of their files, and reading them with a check of their spacing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.itk_reading import check_header, execute, quiet_itk
from OneShotSegLib.imaging.utf8_names import all_readable, readable

if TYPE_CHECKING:
    # Elsewhere it is imported where it is used: Slicer's own process must not import it at start-up.
    import SimpleITK as sitk  # noqa: N813

UNEVEN_SLICES_MM = 0.1
SLICE_POSITION = "0020|0032"


def series_ids(folder: Path) -> tuple[str, ...]:
    """The DICOM series in a folder (not below it).

    Raises:
        InputError: If a file there is so damaged that its series cannot be found out.
    """
    import SimpleITK as sitk  # noqa: N813

    with quiet_itk(), readable(folder) as name:
        return execute(lambda: tuple(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(name))), folder)


def series_files(folder: Path) -> tuple[str, ...]:
    """The files of a folder's one DICOM series, in the order of their slices.

    Raises:
        InputError: If it holds none or several.
    """
    import SimpleITK as sitk  # noqa: N813

    ids = series_ids(folder)
    if len(ids) != 1:
        raise InputError(f"{folder}: expected one DICOM series in this folder, found {len(ids)}.")
    with quiet_itk(), readable(folder) as name:
        found = execute(lambda: tuple(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(name), ids[0])), folder)
    return found if name == folder else tuple(str(folder / Path(file).name) for file in found)


def read_series(folder: Path) -> sitk.Image:
    """Read a folder's one DICOM series.

    Raises:
        InputError: If it holds none or several, one slice alone, or slices at uneven distances.
    """
    import SimpleITK as sitk  # noqa: N813

    names = series_files(folder)
    reader = sitk.ImageSeriesReader()
    if len(names) < 2 and _slices_in(names[0]) < 2:
        raise InputError(f"{folder}: expected a DICOM series of several slices, found one slice.")
    reader.MetaDataDictionaryArrayUpdateOn()
    with all_readable(names) as aliases:
        reader.SetFileNames(aliases)
        image: sitk.Image = execute(reader.Execute, folder)
    check_header(folder, image.GetSize(), image.GetNumberOfComponentsPerPixel())
    _check_even_slices(folder, image, reader, len(names))
    return image


def _slices_in(name: str) -> int:
    import SimpleITK as sitk  # noqa: N813

    reader = sitk.ImageFileReader()
    with readable(Path(name)) as alias:
        reader.SetFileName(str(alias))
        execute(reader.ReadImageInformation, Path(name))
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
