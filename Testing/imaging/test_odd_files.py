"""NIfTI, NRRD and MetaImage files that are well and not as usual: read, or refused in true words."""

from __future__ import annotations

import bz2
import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.detached import voxel_files
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.input_search import search
from OneShotSegLib.imaging.itk import to_itk
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.case_ct import file_state

CT = Volume.create(
    np.random.default_rng(0).integers(-1000, 2000, (6, 8, 7)).astype(np.int16), (3.0, 1.5, 1.5), (5.0, -7.0, 11.0)
)


def sentence_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_volume(path)
    return str(caught.value)


def header(fields: str) -> bytes:
    return (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 7 8 6\n"
        "space directions: (1.5,0,0) (0,1.5,0) (0,0,3)\nkinds: domain domain domain\nspace origin: (11,-7,5)\n"
        f"{fields}\n"
    ).encode()


@pytest.mark.parametrize("name", ["ct.nii", "ct.Nii", "ct.NII", "ct.nii.gz", "ct.Nii.Gz", "ct.NII.GZ"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_nifti_file_is_read_whatever_its_name_says_of_its_compression(
    name: str, compressed: bool, tmp_path: Path
) -> None:
    write_volume(CT, tmp_path / "x.nii.gz")
    content = (tmp_path / "x.nii.gz").read_bytes()
    (tmp_path / "x.nii.gz").unlink()
    (tmp_path / name).write_bytes(content if compressed else gzip.decompress(content))
    found = read_volume(tmp_path / name)
    assert np.array_equal(found.array, CT.array)
    assert found.same_grid(CT)
    assert [ct.path.name for ct in search([tmp_path]).cts] == [name]


@pytest.mark.parametrize("slope", [1e-30, -1e-15])
def test_a_slope_that_its_reader_takes_for_none_is_refused(slope: float, tmp_path: Path) -> None:
    sitk.WriteImage(to_itk(CT), str(tmp_path / "ct.nii"))
    content = bytearray((tmp_path / "ct.nii").read_bytes())
    struct.pack_into("<2f", content, 112, slope, 0)
    (tmp_path / "ct.nii").write_bytes(content)
    assert "slope of the values" in sentence_of(tmp_path / "ct.nii")


def test_an_encoding_that_is_not_read_is_named(tmp_path: Path) -> None:
    content = header("endian: little\nencoding: bzip2\n") + bz2.compress(CT.array.tobytes())
    (tmp_path / "ct.nrrd").write_bytes(content)
    assert "bzip2" in sentence_of(tmp_path / "ct.nrrd")


def test_bytes_in_an_order_that_is_not_told_are_said(tmp_path: Path) -> None:
    (tmp_path / "ct.nrrd").write_bytes(header("encoding: raw\n") + CT.array.tobytes())
    assert "endian" in sentence_of(tmp_path / "ct.nrrd")


@pytest.mark.parametrize(
    ("position", "says"),
    [
        ("Position = 11 -7 5", ""),
        ("Position = 500 0 0", "offset and position"),
        ("Origin = 0 0 0", "offset and origin"),
    ],
)
def test_two_names_of_one_field_may_not_disagree(position: str, says: str, tmp_path: Path) -> None:
    sitk.WriteImage(to_itk(CT), str(tmp_path / "ct.mha"), False)
    content = (tmp_path / "ct.mha").read_bytes()
    (tmp_path / "ct.mha").write_bytes(content.replace(b"ElementSpacing", f"{position}\nElementSpacing".encode(), 1))
    if says:
        assert says in sentence_of(tmp_path / "ct.mha")
    else:
        assert read_volume(tmp_path / "ct.mha").same_grid(CT)


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_a_file_of_voxels_that_is_gone_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"ct{suffix}"
    sitk.WriteImage(to_itk(CT), str(path), False)
    (voxels,) = voxel_files(path)
    assert voxels.is_file()
    voxels.unlink()
    assert f"not there ({voxels.name})" in sentence_of(path)


def test_files_of_voxels_of_any_name_are_not_said_to_be_unused(tmp_path: Path) -> None:
    for name, voxels in (("a.nhdr", "voxels.dat"), ("b.nhdr", "b.img")):
        (tmp_path / name).write_bytes(header(f"endian: little\nencoding: raw\ndata file: {voxels}\n"))
        (tmp_path / voxels).write_bytes(CT.array.tobytes())
    (tmp_path / "c.nhdr").write_bytes(header("endian: little\nencoding: raw\ndata file: c%02d.raw 1 6 1\n"))
    for number, plane in enumerate(CT.array, 1):
        (tmp_path / f"c{number:02d}.raw").write_bytes(plane.tobytes())
    (tmp_path / "stray.img").write_bytes(b"x")
    found = search([tmp_path])
    assert [ct.path.name for ct in found.cts] == ["a.nhdr", "b.nhdr", "c.nhdr"]
    assert [(entry.kind, entry.count) for entry in found.left_out] == [("file of a format that is not read", 1)]
    for ct in found.cts:
        assert np.array_equal(read_volume(ct.path).array, CT.array)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("data file: x.raw", ["x.raw"]),
        ("datafile: x y.raw.gz", ["x y.raw.gz"]),
        ("data file: x%d.raw 2 0 -1", ["x2.raw", "x1.raw", "x0.raw"]),
        ("data file: LIST\n  a.raw\nb.raw", ["a.raw", "b.raw"]),
        ("data file: LIST 2\na.raw", ["a.raw"]),
        ("data file: sub\\x.raw", ["sub/x.raw"]),
        ("encoding: raw", []),
    ],
)
def test_the_files_that_a_header_names(line: str, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "x.nhdr").write_text(f"NRRD0004\n{line}\n", encoding="utf-8")
    assert voxel_files(tmp_path / "x.nhdr") == tuple(tmp_path / name for name in names)


def test_a_change_of_any_file_of_voxels_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "c.nhdr").write_bytes(header("endian: little\nencoding: raw\ndata file: c%02d.raw 1 6 1\n"))
    for number, plane in enumerate(CT.array, 1):
        (tmp_path / f"c{number:02d}.raw").write_bytes(plane.tobytes())
    before = file_state(tmp_path / "c.nhdr")
    (tmp_path / "other.txt").write_text("x", encoding="utf-8")
    assert file_state(tmp_path / "c.nhdr") == before
    os.utime(tmp_path / "c06.raw", (4e9, 4e9))
    assert file_state(tmp_path / "c.nhdr") != before
