"""Files whose names are no UTF-8: read and written like all others, where ITK itself would end the process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging import utf8_names
from OneShotSegLib.imaging.dicom_series import series_files
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.input_search import find_volumes
from Testing.helpers.dicom_series import write_series
from Testing.helpers.small_study import small_ct

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="file names are rows of bytes on Linux alone")

LATIN_1 = os.fsdecode(b"M\xfcller")


@pytest.fixture(params=["link", "copy"])
def odd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose name is no UTF-8, on a system that allows links and on one that does not."""
    if request.param == "copy":

        def refuse(*_: object, **__: object) -> None:
            raise OSError("links are not allowed")

        monkeypatch.setattr(Path, "symlink_to", refuse)
    folder = tmp_path / LATIN_1
    folder.mkdir()
    return folder


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha"])
@pytest.mark.parametrize("stem", ["plain", LATIN_1, "Müller 脳"])
def test_files_are_written_and_read(odd: Path, stem: str, suffix: str) -> None:
    written = small_ct()
    write_volume(written, odd / f"{stem}{suffix}")
    assert [path.name for path in odd.iterdir()] == [f"{stem}{suffix}"]
    read = read_volume(odd / f"{stem}{suffix}")
    assert read.same_grid(written)
    np.testing.assert_array_equal(read.array, written.array)


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
@pytest.mark.parametrize("name", ["a", LATIN_1])
def test_headers_whose_voxels_are_in_another_file_are_read(odd: Path, name: str, suffix: str, tmp_path: Path) -> None:
    sitk.WriteImage(sitk.Image(30, 20, 10, sitk.sitkInt16), str(tmp_path / f"a{suffix}"), useCompression=False)
    for path in [path for path in tmp_path.iterdir() if path.is_file()]:
        path.rename(odd / (f"{name}{suffix}" if path.suffix == suffix else path.name))
    assert not utf8_names.is_plain(odd)
    assert read_volume(odd / f"{name}{suffix}").shape == (10, 20, 30)


def test_a_series_is_read_in_such_a_folder_and_with_such_a_file(odd: Path) -> None:
    folder = write_series(odd / "series", small_ct(), "A")
    (folder / "002.dcm").rename(folder / f"{LATIN_1}.dcm")
    assert find_volumes(odd) == [folder]
    assert sorted(series_files(folder)) == sorted(map(str, folder.iterdir()))
    np.testing.assert_array_equal(read_volume(folder).array, small_ct().array)


def test_a_broken_file_is_said_under_its_own_name(odd: Path) -> None:
    path = odd / f"{LATIN_1}.nii.gz"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError) as caught:
        read_volume(path)
    assert str(caught.value).startswith(str(path))


def test_files_of_one_name_are_not_mixed_up(odd: Path) -> None:
    first, second = small_ct(), small_ct(seed=1)
    write_volume(first, odd / f"{LATIN_1}.nii")
    write_volume(second, odd / f"{LATIN_1}.nii.gz")
    np.testing.assert_array_equal(read_volume(odd / f"{LATIN_1}.nii").array, first.array)
    np.testing.assert_array_equal(read_volume(odd / f"{LATIN_1}.nii.gz").array, second.array)
