"""Volumes on disk: they come back as they were, and broken ones end in one sentence."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume, stem_of, suffix_of, write_volume
from OneShotSegLib.imaging.integrity import is_whole_nrrd
from OneShotSegLib.imaging.volume import Volume

FORMATS = (".nii.gz", ".nii", ".nrrd", ".mha")
TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64, np.float32, np.float64)
FLIPS = [np.diag(signs) for signs in ((1, 1, 1), (1, -1, -1), (-1, 1, 1), (1, 1, -1))]
PERMUTED = [np.eye(3)[[1, 2, 0]], np.eye(3)[[2, 1, 0]], -np.eye(3)[[0, 2, 1]]]
OBLIQUE = [Rotation.from_euler("xyz", a, degrees=True).as_matrix() for a in ((5, 0, 0), (20, -30, 40), (-170, 60, 89))]


def volume(
    direction: Any = None, kind: Any = np.int16, spacing: Any = (3.0, 0.9, 1.1), shape: Any = (4, 5, 6)
) -> Volume:
    array = np.random.default_rng(0).integers(0, 100, shape).astype(kind)
    return Volume.create(array, spacing, (-120.5, 33.25, 7.75), direction)


def sentence_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_volume(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    assert text.endswith(".")
    return text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(FORMATS),
    st.sampled_from(FLIPS + PERMUTED + OBLIQUE),
    st.sampled_from(TYPES),
    st.tuples(*[st.floats(0.05, 12)] * 3),
)
def test_any_grid_and_type_comes_back_as_it_was(
    tmp_path: Path, suffix: str, direction: Any, kind: Any, spacing: Any
) -> None:
    written = volume(direction, kind, spacing)
    write_volume(written, tmp_path / f"a{suffix}")
    read = read_volume(tmp_path / f"a{suffix}")
    assert read.same_grid(written)
    assert read.array.dtype == kind
    np.testing.assert_array_equal(read.array, written.array)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(("kind", "becomes"), [(bool, np.uint8), (np.float16, np.float32), (">i2", np.int16)])
def test_types_that_files_lack_become_the_next_that_holds_them(
    tmp_path: Path, suffix: str, kind: Any, becomes: type[np.generic]
) -> None:
    written = volume(kind=kind)
    write_volume(written, tmp_path / f"a{suffix}")
    read = read_volume(tmp_path / f"a{suffix}")
    assert read.array.dtype == becomes
    np.testing.assert_array_equal(read.array, written.array.astype(becomes))


def test_a_rescaled_nifti_is_read_in_its_values_not_its_stored_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    write_volume(volume(), path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<2f", data, 112, 2.0, -1024.0)
    path.write_bytes(bytes(data))
    np.testing.assert_allclose(read_volume(path).array, volume().array * 2.0 - 1024)


def test_a_compressed_and_a_plain_nifti_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    first, second = volume(), volume().with_array(volume().array + 1000)
    write_volume(first, tmp_path / "a.nii")
    write_volume(second, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").array, first.array)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").array, second.array)


def test_a_fourth_axis_of_one_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((1, 3, 4, 5), np.int16), isVector=False), str(path))
    assert read_volume(path).shape == (3, 4, 5)


def test_headers_that_point_to_a_file_of_voxels_are_read(tmp_path: Path) -> None:
    big = sitk.Image(40, 40, 40, sitk.sitkInt16)
    for suffix in (".mhd", ".nhdr"):
        sitk.WriteImage(big, str(tmp_path / f"a{suffix}"), useCompression=False)
        assert read_volume(tmp_path / f"a{suffix}").shape == (40, 40, 40)


# Bad input


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert "no such file or folder" in sentence_of(tmp_path / "none.nii.gz")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize(
    ("shape", "vector", "found"),
    [
        ((5, 6), False, "(2 axes)"),
        ((1, 5, 6), False, "(3 axes)"),
        ((4, 5, 6, 3), True, "found 3 (a colour"),
        ((2, 4, 5, 6), False, "(4 axes)"),
    ],
    ids=["2D", "one slice", "RGB", "4D"],
)
def test_images_that_are_no_scalar_volume_are_refused(
    tmp_path: Path, suffix: str, shape: Any, vector: bool, found: str
) -> None:
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros(shape, np.uint8), isVector=vector), str(path))
    assert found in sentence_of(path)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("share", [0.2, 0.6, 0.97])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a{suffix}"
    write_volume(volume(shape=(10, 20, 30)), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "broken or truncated" in sentence_of(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_damaged_compressed_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_volume(volume(shape=(10, 20, 30)), path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(bytes(data))
    sentence_of(path)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FORMATS), st.floats(0, 1), st.binary(min_size=1, max_size=12))
def test_any_damage_gives_a_volume_or_a_sentence(tmp_path: Path, suffix: str, at: Any, noise: Any) -> None:
    whole, damaged = tmp_path / f"whole{suffix}", tmp_path / f"damaged{suffix}"
    if not whole.exists():
        write_volume(volume(), whole)
    data = bytearray(whole.read_bytes())
    start = int(at * min(len(data) - 1, 600))
    data[start : start + len(noise)] = noise
    damaged.write_bytes(bytes(data))
    try:
        read = read_volume(damaged)
    except InputError:
        return
    assert np.isfinite(read.spacing).all()
    assert (read.spacing > 0).all()
    assert np.isfinite(read.origin).all()


@pytest.mark.parametrize(
    ("name", "found"),
    [("a.nii.gz", "unknown format"), ("a.nrrd", "unknown format"), ("a.mha", "unknown format"), ("a.txt", "another")],
)
@pytest.mark.parametrize("data", [b"", b"hello", b"\x00" * 400])
def test_files_that_are_no_image_are_refused(tmp_path: Path, name: str, found: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    text = sentence_of(tmp_path / name)
    assert found in text or "broken" in text


NRRD = (
    "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: {size}\nspace directions: {axes}\n"
    "kinds: domain domain domain\nendian: little\nencoding: raw\nspace origin: (0,0,0)\n\n"
)
META = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 1 1\nDimSize = {size}\n"
    "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)
AXES = "(1,0,0) (0,1,0) (0,0,1)"


def huge_nifti(path: Path, extent: int) -> None:
    write_volume(volume(), path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<3h", data, 42, *[extent] * 3)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("extent", [100_000, 1200])
def test_headers_of_huge_images_are_refused_without_allocating(tmp_path: Path, extent: Any) -> None:
    size = f"{extent} {extent} {extent}"
    (tmp_path / "a.nrrd").write_bytes(NRRD.format(size=size, axes=AXES).encode() + b"1234")
    (tmp_path / "a.mha").write_bytes(META.format(size=size).encode() + b"1234")
    huge_nifti(tmp_path / "a.nii", min(extent, 32767))
    script = f"""
        import resource
        from pathlib import Path
        from OneShotSegLib.errors import InputError
        from OneShotSegLib.imaging.files import read_volume
        pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (pages + 2**29, pages + 2**29))
        for name in ("a.nrrd", "a.mha", "a.nii"):
            try:
                read_volume(Path({str(tmp_path)!r}) / name)
            except InputError as error:
                print(error)
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("limits memory by Linux's means")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, encoding="utf-8", check=True
    )
    assert len(done.stdout.splitlines()) == 3, done.stdout + done.stderr


def test_sheared_grids_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    path.write_bytes(NRRD.format(size="2 2 2", axes="(1,1,0) (0,1,0) (0,0,1)").encode() + bytes(16))
    assert "right angles" in sentence_of(path)


# DICOM


def write_series(folder: Path, array: np.ndarray, uid: str = "1.2.3", cosines: Any = (1, 0, 0, 0, 1, 0)) -> None:
    """A CT series of one slice a file, 2.5 mm apart, its file names against its order in space."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    normal = np.cross(cosines[:3], cosines[3:])
    for number in range(len(array)):
        image = sitk.GetImageFromArray(array[number])
        image.SetSpacing((0.7, 0.8))
        tags = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{uid}.{number + 1}",
            "0008|0060": "CT",
            "0020|000d": "1.2.9",
            "0020|000e": uid,
            "0020|0013": str(number),
            "0020|0032": "\\".join(f"{v:.6f}" for v in np.array((-100, -50, 30)) + number * 2.5 * normal),
            "0020|0037": "\\".join(f"{v:.9f}" for v in cosines),
            "0028|1052": "-1024",
            "0028|1053": "1",
        }
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{uid}-{len(array) - number:03}.dcm"))
        writer.Execute(image)


def slices(count: int = 5) -> np.ndarray:
    return np.random.default_rng(1).integers(-1000, 2000, (count, 8, 9)).astype(np.int16)


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi])
def test_a_dicom_series_is_read_in_hu_in_its_place_whatever_its_file_names(tmp_path: Path, angle: float) -> None:
    c, s = np.cos(angle), np.sin(angle)
    write_series(tmp_path / "ct", slices(), cosines=(c, s, 0, -s, c, 0))
    read = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(read.array, slices())
    np.testing.assert_allclose(read.spacing, (2.5, 0.8, 0.7))
    np.testing.assert_allclose(read.origin, (30, -50, -100))
    np.testing.assert_allclose(read.direction, [[1, 0, 0], [0, c, s], [0, -s, c]], atol=1e-6)


def test_other_files_in_a_dicom_folder_do_not_matter(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", slices())
    (tmp_path / "ct" / "readme.txt").write_text("notes", encoding="utf-8")
    (tmp_path / "ct" / "DICOMDIR").write_bytes(b"junk")
    assert read_volume(tmp_path / "ct").shape == (5, 8, 9)


def test_a_folder_with_two_series_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", slices(), "1.2.3")
    write_series(tmp_path / "ct", slices(), "1.2.4")
    assert "found 2" in sentence_of(tmp_path / "ct")


def test_a_series_with_a_truncated_slice_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", slices())
    third = sorted((tmp_path / "ct").iterdir())[2]
    third.write_bytes(third.read_bytes()[:300])
    sentence_of(tmp_path / "ct")


def test_a_series_of_one_slice_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", slices(1))
    assert "one slice" in sentence_of(tmp_path / "ct")


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes", encoding="utf-8")
    assert "found none" in sentence_of(tmp_path)


# Naming


@pytest.mark.parametrize(
    ("name", "suffix", "stem"),
    [
        ("a.b.nii.gz", ".nii.gz", "a.b"),
        ("A.NII.GZ", ".nii.gz", "A"),
        ("m.seg.nrrd", ".seg.nrrd", "m"),
        ("m.nrrd", ".nrrd", "m"),
        ("a.gz", "", "a.gz"),
    ],
)
def test_suffixes_of_two_parts_count_as_one(name: str, suffix: str, stem: str) -> None:
    assert (suffix_of(Path(name)), stem_of(Path(name))) == (suffix, stem)


# Writing


@pytest.mark.parametrize("name", ["a.mhd", "a.nhdr", "a.png", "a.dcm", "a"])
def test_only_formats_of_one_file_are_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="to write to"):
        write_volume(volume(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    write_volume(volume(), path)
    before = path.read_bytes()

    def fail(image: Any, name: str, **options: Any) -> None:
        Path(name).write_bytes(b"half")
        raise RuntimeError("no space left")

    monkeypatch.setattr(sitk, "WriteImage", fail)
    with pytest.raises(OSError, match="could not be written"):
        write_volume(volume(kind=np.float32), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("axes", ["9999", "-3", "", "1", "three"])
def test_a_meta_image_with_a_senseless_number_of_axes_never_reaches_the_reader(tmp_path: Path, axes: Any) -> None:
    path = tmp_path / "a.mha"
    write_volume(Volume.create(np.zeros((4, 5, 6), dtype=np.int16)), path)
    path.write_bytes(path.read_bytes().replace(b"NDims = 3", f"NDims = {axes}".encode()))
    with pytest.raises(InputError, match="expected a readable image"):
        read_volume(path)


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "float32", "float64", "int64"])
def test_a_written_nrrd_is_whole_and_no_shorter_one_is(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "a.nrrd"
    write_volume(Volume.create(np.random.default_rng(0).integers(0, 99, (4, 5, 6)).astype(kind)), path)
    content = path.read_bytes()
    assert is_whole_nrrd(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert not is_whole_nrrd(path), length


@pytest.mark.skipif(os.name == "nt", reason="limits the file size by POSIX means")
def test_a_disk_that_fills_up_leaves_no_file(tmp_path: Path) -> None:
    script = f"""
        import resource, signal
        from pathlib import Path
        import numpy as np
        from OneShotSegLib.imaging.files import write_volume
        from OneShotSegLib.imaging.volume import Volume
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        noise = np.random.default_rng(0).integers(0, 30_000, (40, 50, 60)).astype(np.int16)
        for suffix in {FORMATS!r}:
            try:
                write_volume(Volume.create(noise), Path({str(tmp_path)!r}) / ("a" + suffix))
            except OSError as error:
                print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.count("could not be written") == len(FORMATS), done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
