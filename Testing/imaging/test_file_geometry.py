"""NIfTI, NRRD and MetaImage files of any geometry: read where they lie, or refused in one sentence."""

from __future__ import annotations

import gzip
import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from OneShotSegLib.api import _from_itk
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.imaging.volume import Volume
from Testing.helpers.synthetic_scans import CENTRE, ball_dice, ball_labels, hounsfield

RAS = np.array([-1.0, -1.0, 1.0])
SPACING, SHAPE = np.array([2.0, 2.5, 3.0]), (22, 26, 32)
"""Along the file's axes (x, y, z where there is no rotation); shape of the array, z, y, x."""


def origin_of(direction: np.ndarray, spacing: np.ndarray = SPACING) -> np.ndarray:
    """So that the ball is in the middle."""
    return CENTRE - direction @ (spacing * (np.array(SHAPE[::-1]) - 1) / 2)


def ball_ct(direction: np.ndarray, spacing: np.ndarray = SPACING) -> np.ndarray:
    """HU of the ball on a grid, shape (z, y, x); the direction's columns are the file's axes, LPS x, y, z."""
    index = np.moveaxis(np.indices(SHAPE)[::-1], 0, -1)
    return np.round(hounsfield(origin_of(direction, spacing) + (index * spacing) @ direction.T)).astype("<i2")


@st.composite
def directions(draw: st.DrawFn) -> np.ndarray:
    """Any order and sign of the axes, left-handed ones too; straight, or turned by any angles."""
    axes = np.eye(3)[list(draw(st.permutations(range(3))))] * draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    if draw(st.booleans()):
        return axes
    turn = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    return Rotation.from_euler("xyz", turn, degrees=True).as_matrix() @ axes


def nifti(path: Path, array: np.ndarray, *changes: tuple[Any, ...], **geometry: Any) -> Path:
    """A NIfTI-1 file; changes are (format, offset, values...), geometry what `header_of` takes."""
    header = bytearray(header_of(**geometry))
    kinds = {"i2": 4, "f4": 16, "f8": 64, "u1": 2}
    struct.pack_into("<8h", header, 40, 3, *array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, kinds[array.dtype.str[1:]], 8 * array.dtype.itemsize)
    for form, offset, *values in changes:
        struct.pack_into(form, header, offset, *values)
    data = bytes(header) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def header_of(
    direction: np.ndarray | None = None,
    spacing: np.ndarray = SPACING,
    codes: tuple[int, int] = (1, 1),
    factor: float = 1.0,
    units: int = 2,
) -> bytes:
    direction = np.eye(3) if direction is None else direction
    origin = origin_of(direction, spacing) * RAS / factor
    axes = direction * RAS[:, None]
    mirrored = np.linalg.det(axes) < 0
    rotation = axes * [1, 1, -1 if mirrored else 1]
    x, y, z, _ = Rotation.from_matrix(rotation).as_quat(canonical=True)
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8f", header, 76, -1 if mirrored else 1, *spacing / factor, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    header[123] = units
    struct.pack_into("<2h", header, 252, *codes)
    struct.pack_into("<6f", header, 256, x, y, z, *origin)
    matrix = np.column_stack([axes * spacing / factor, origin])
    struct.pack_into("<12f", header, 280, *matrix.ravel())
    header[344:348] = b"n+1\0"
    return bytes(header)


SPACES = {"RAS": RAS, "LAS": RAS * [-1, 1, 1], "LPS": np.ones(3)}


def vector(values: np.ndarray) -> str:
    return "({:.12g},{:.12g},{:.12g})".format(*values)


def nrrd(path: Path, array: np.ndarray, **fields: str | None) -> Path:
    flips = SPACES.get(fields.get("space") or "LPS", np.ones(3))
    steps, origin = np.diag(SPACING) * flips[:, None], origin_of(np.eye(3)) * flips
    standard = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, array.shape[::-1])),
        "space directions": " ".join(f"({a:g},{b:g},{c:g})" for a, b, c in steps.T),
        "endian": "little",
        "encoding": "raw",
        "space origin": "({:g},{:g},{:g})".format(*origin),
    }
    merged = standard | {name.replace("_", " "): text for name, text in fields.items()}
    text = "NRRD0004\n" + "".join(f"{name}: {value}\n" for name, value in merged.items() if value is not None) + "\n"
    path.write_bytes(text.encode() + array.tobytes())
    return path


def meta(path: Path, array: np.ndarray, **fields: str | None) -> Path:
    standard = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "{:g} {:g} {:g}".format(*origin_of(np.eye(3))),
        "ElementSpacing": "2 2.5 3",
        "DimSize": " ".join(map(str, array.shape[::-1])),
        "ElementType": "MET_SHORT",
    }
    merged = {**standard, **fields, "ElementDataFile": "LOCAL"}
    text = "".join(f"{name} = {value}\n" for name, value in merged.items() if value is not None)
    path.write_bytes(text.encode() + array.tobytes())
    return path


def sentence_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_volume(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: expected ")
    assert "\n" not in text
    assert text.endswith(".")
    return text


def with_warnings(path: Path, caplog: pytest.LogCaptureFixture) -> tuple[Volume, str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, "OneShotSegLib"):
        return read_volume(path), caplog.text


# Where it lies


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    suffix=st.sampled_from([".nii.gz", ".nii", ".nrrd", ".mha"]),
    space=st.sampled_from(["LPS", "RAS", "LAS"]),
    direction=directions(),
    spacing=st.tuples(*[st.floats(1.7, 3.2)] * 3),
    mask=st.sampled_from([".nii.gz", ".seg.nrrd", ".mha"]),
)
def test_the_ball_is_where_it_is_in_the_ct_and_in_the_mask(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    space: str,
    direction: np.ndarray,
    spacing: tuple[float, float, float],
    mask: str,
) -> None:
    folder, steps = tmp_path_factory.mktemp("files"), np.array(spacing)
    array, origin = ball_ct(direction, steps), origin_of(direction, steps)
    path = folder / f"ct{suffix}"
    if suffix.startswith(".nii"):
        nifti(path, array, direction=direction, spacing=steps)
    elif suffix == ".nrrd":
        flips = SPACES[space]
        axes = " ".join(vector(step) for step in (direction * steps * flips[:, None]).T)
        nrrd(path, array, space=space, space_directions=axes, space_origin=vector(origin * flips))
    else:
        write_volume(Volume.create(array, steps[::-1], origin[::-1], direction[::-1, ::-1]), path)
    ct = read_volume(path)
    np.testing.assert_array_equal(ct.array, array)
    write_volume(ball_labels(ct), folder / f"mask{mask}")
    labels = read_label_map(folder / f"mask{mask}").volume
    assert labels.same_grid(ct)
    assert ball_dice(labels) > 0.93


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1), (2, 4), (0, 2)])
@pytest.mark.parametrize("turn", [(0, 0, 0), (8, -5, 12), (180, 0, 0), (3, 1, 179)])
def test_a_nifti_lies_where_its_quaternion_or_its_matrix_says(
    tmp_path: Path, codes: tuple[int, int], turn: tuple[int, int, int]
) -> None:
    direction = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    ct = read_volume(nifti(tmp_path / "a.nii", ball_ct(direction), direction=direction, codes=codes))
    assert ball_dice(ball_labels(ct)) > 0.93


@pytest.mark.parametrize(("units", "factor", "said"), [(1, 1000.0, "metres"), (3, 1e-3, "micrometres")])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1)])
def test_a_nifti_in_another_unit_is_converted_and_said(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    units: int,
    factor: float,
    said: str,
    suffix: str,
    codes: tuple[int, int],
) -> None:
    path = nifti(tmp_path / f"a{suffix}", ball_ct(np.eye(3)), units=units | 8, factor=factor, codes=codes)
    ct, text = with_warnings(path, caplog)
    assert f"sizes and positions are in {said}: converted to mm" in text
    np.testing.assert_allclose(ct.spacing, SPACING[::-1], rtol=1e-5)
    assert ball_dice(ball_labels(ct)) > 0.93


@pytest.mark.parametrize("space", ["RAS", "LAS", "LPS", "right-anterior-superior", "Left-Posterior-Superior"])
def test_an_nrrd_of_any_space_lies_where_it_says(tmp_path: Path, caplog: pytest.LogCaptureFixture, space: str) -> None:
    short = {"right-anterior-superior": "RAS", "Left-Posterior-Superior": "LPS"}.get(space, space)
    path = nrrd(tmp_path / "a.nrrd", ball_ct(np.eye(3)), space=short)
    path.write_bytes(path.read_bytes().replace(f"space: {short}\n".encode(), f"space: {space}\n".encode()))
    ct, text = with_warnings(path, caplog)
    assert not text
    assert ball_dice(ball_labels(ct)) > 0.93


def test_units_of_nrrd_and_meta_image_are_converted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    array, origin = ball_ct(np.eye(3)), origin_of(np.eye(3))
    steps = "(0.2,0,0) (0,0.25,0) (0,0,0.3)"
    fields = {"space_directions": steps, "space_origin": "({:g},{:g},{:g})".format(*origin / 10)}
    path = nrrd(tmp_path / "a.nrrd", array, space_units='"cm" "cm" "cm"', **fields)
    other = meta(
        tmp_path / "a.mha",
        array,
        ElementSpacing="0.2 0.25 0.3",
        Offset="{:g} {:g} {:g}".format(*origin / 10),
        DistanceUnits="cm",
    )
    for one in (path, other):
        ct, text = with_warnings(one, caplog)
        assert "in cm: converted to mm" in text
        assert ball_dice(ball_labels(ct)) > 0.93


def test_an_image_without_a_position_is_taken_at_0_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    array = ball_ct(np.eye(3))
    for path in (nrrd(tmp_path / "a.nrrd", array, space_origin=None), meta(tmp_path / "a.mha", array, Offset=None)):
        ct, text = with_warnings(path, caplog)
        assert "no position of the image: taken as 0, 0, 0" in text
        np.testing.assert_array_equal(ct.origin, 0)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ((2, -5), lambda a: 2 * a - 5),
        ((1, 5), lambda a: a + 5),
        ((0.5, 0), lambda a: 0.5 * a),
        ((0, 5), lambda a: a),
        ((0, 0), lambda a: a),
        ((np.nan, np.nan), lambda a: a),
        ((np.nan, 7), lambda a: a),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_nifti_scale_counts_unless_its_slope_is_0(
    tmp_path: Path,
    scale: tuple[float, float],
    expected: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    suffix: str,
) -> None:
    array = ball_ct(np.eye(3))
    path = nifti(tmp_path / f"a{suffix}", array, ("<2f", 112, *scale))
    np.testing.assert_array_equal(read_volume(path).array, expected(array.astype(np.float32)))


def test_the_scale_of_a_label_map_must_give_whole_numbers(tmp_path: Path) -> None:
    array = (ball_ct(np.eye(3)) > 200).astype("u1")
    good = nifti(tmp_path / "good.nii", array, ("<2f", 112, 3, 0))
    assert set(np.unique(read_label_map(good).volume.array)) == {0, 3}
    with pytest.raises(InputError, match="found fractions"):
        read_label_map(nifti(tmp_path / "bad.nii", array, ("<2f", 112, 0.5, 0)))


# Refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("<f", 88, 0.0)], "steps over 0 from voxel to voxel (pixdim), found 2 x 2.5 x 0"),
        ([("<f", 80, -2.0)], "(pixdim), found -2 x 2.5 x 3"),
        ([("<f", 84, np.nan)], "(pixdim), found 2 x nan x 3"),
        ([("<f", 84, np.inf)], "(pixdim), found 2 x inf x 3"),
        ([("<2h", 252, 0, 0)], "found neither: left and right cannot be told"),
        ([("<2h", 252, -1, 0)], "found neither"),
        ([("<f", 88, 4.0)], "expected one voxel size, found 2 x 2.5 x 4 (pixdim) and 2 x 2.5 x 3 (sform)"),
        ([("<f", 88, 4.0), ("<2h", 252, 0, 1)], "expected one voxel size"),
        ([("<f", 268, 500.0)], "(qform and sform)"),
        ([("<f", 264, 0.2)], "expected one orientation, found two that differ (qform and sform)"),
        ([("<f", 76, -1.0)], "expected one orientation"),
        ([("<f", 284, 0.5)], "axes at right angles, found a sheared one"),
        ([("<4f", 280, 0, 0, 0, 0)], "expected voxels of 0.05 to 50 mm, found 0 x 2.5 x 3 mm"),
        ([("<12f", 280, *[0.0] * 12)], "found 0 x 0 x 0 mm"),
        ([("<3f", 280, 0, -2.5, 0), ("<2h", 252, 0, 1)], "expected"),
        ([("<f", 280, np.nan)], "expected numbers in the header's matrix (sform)"),
        ([("<f", 292, np.inf)], "expected numbers in the header's matrix (sform)"),
        ([("<f", 256, np.nan)], "quaternion (qform)"),
        ([("<f", 256, 3.0)], "quaternion (qform)"),
        ([("<f", 292, 1e9), ("<2h", 252, 0, 1)], "expected a position of the image in mm"),
        ([("<B", 123, 3)], "expected voxels of 0.05 to 50 mm, found 0.002 x 0.0025 x 0.003 mm"),
        ([("<B", 123, 1)], "expected voxels of 0.05 to 50 mm, found 2000 x 2500 x 3000 mm"),
        ([("<f", 112, np.inf)], "expected a slope and an intercept of the values in numbers"),
        ([("4s", 344, b"\0\0\0\0")], "an older or damaged header"),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_nifti_grid_that_is_not_whole_is_refused(
    tmp_path: Path, changes: list[tuple[Any, ...]], said: str, suffix: str
) -> None:
    assert said in sentence_of(nifti(tmp_path / f"a{suffix}", ball_ct(np.eye(3)), *changes))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"space_directions": None, "space": None, "space_origin": None}, "found no voxel size in the header"),
        ({"space_directions": None, "space": None, "space_origin": None, "spacings": "2 2 3"}, "and no directions"),
        ({"space": "scanner-xyz"}, "found the space 'scanner-xyz'"),
        ({"space": "3D-right-handed"}, "found the space '3D-right-handed'"),
        ({"space": None, "space_dimension": "3"}, "found no space"),
        ({"space_directions": "(2,0.5,0) (0,2.5,0) (0,0,3)"}, "found a sheared one"),
        ({"space_directions": "(2,0,0) (0,2.5,0) (2,0,0)"}, "found some that coincide"),
        ({"space_directions": "(2,0,0) (0,2.5,0) (0,0,0)"}, "expected voxels of 0.05 to 50 mm, found 2 x 2.5 x 0 mm"),
        ({"space_directions": "(2,0,0) (0,2.5,0) (0,0,300)"}, "expected voxels of 0.05 to 50 mm"),
        ({"space_units": '"parsec" "parsec" "parsec"'}, "found the unit"),
        ({"space_units": '"mm" "cm" "mm"'}, "one unit for all axes"),
        ({"space_origin": "(1e9,0,0)"}, "a position of the image in mm"),
    ],
)
def test_an_nrrd_grid_that_is_not_whole_is_refused(tmp_path: Path, fields: dict[str, str | None], said: str) -> None:
    assert said in sentence_of(nrrd(tmp_path / "a.nrrd", ball_ct(np.eye(3)), **fields))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ElementSpacing": None}, "a voxel size (ElementSpacing), found none"),
        ({"TransformMatrix": None}, "(TransformMatrix), found none"),
        ({"ElementSpacing": "2 0 3"}, "expected voxels of 0.05 to 50 mm, found 2 x 0 x 3 mm"),
        ({"ElementSpacing": "2 -2 3"}, "found 2 x -2 x 3 mm"),
        ({"ElementSpacing": "2 nan 3"}, "found 2 x nan x 3 mm"),
        ({"ElementSpacing": "2 2.5 x"}, "expected numbers in the header's field 'ElementSpacing'"),
        ({"TransformMatrix": "1 0.3 0 0 1 0 0 0 1"}, "expected axes with directions of length 1"),
        ({"TransformMatrix": "1 0 0 0.6 0.8 0 0 0 1"}, "found a sheared one"),
        ({"TransformMatrix": "1 0 0 0 1 0 1 0 0"}, "coincide"),
        ({"TransformMatrix": "2 0 0 0 1 0 0 0 1"}, "expected axes with directions of length 1"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0 0"}, "expected axes with directions of length 1"),
        ({"DistanceUnits": "parsec"}, "found the unit"),
        ({"ElementToIntensityFunctionSlope": "2"}, "values without a scale"),
    ],
)
def test_a_meta_image_grid_that_is_not_whole_is_refused(
    tmp_path: Path, fields: dict[str, str | None], said: str
) -> None:
    assert said in sentence_of(meta(tmp_path / "a.mha", ball_ct(np.eye(3)), **fields))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".seg.nrrd"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, -1, 5_000])
def test_voxels_that_are_no_numbers_are_refused_in_every_format(
    tmp_path: Path, suffix: str, kind: type[np.floating[Any]], value: float, place: int
) -> None:
    array = ball_ct(np.eye(3)).astype(kind)
    array.reshape(-1)[place] = value
    path = tmp_path / f"a{suffix}"
    write_volume(Volume.create(array, SPACING[::-1]), path)
    for read in (read_volume, read_label_map):
        with pytest.raises(InputError, match="expected voxels that are numbers, found some that are none"):
            read(path)


def test_four_axes_with_one_volume_are_read_where_they_lie(tmp_path: Path) -> None:
    array = ball_ct(np.eye(3))
    ct = read_volume(nifti(tmp_path / "a.nii", array, ("<8h", 40, 4, *array.shape[::-1], 1, 1, 1, 1)))
    assert ct.shape == SHAPE
    assert ball_dice(ball_labels(ct)) > 0.93
    assert "4 axes" in sentence_of(nifti(tmp_path / "b.nii", array, ("<8h", 40, 4, 32, 26, 11, 2, 1, 1, 1)))


def test_a_sheared_image_of_simpleitk_is_refused() -> None:
    image = sitk.Image(4, 5, 6, sitk.sitkInt16)
    image.SetDirection((1, 0, 0, 0.6, 0.8, 0, 0, 0, 1))
    with pytest.raises(InputError, match=r"^The image: expected a"):
        _from_itk(image)


def test_an_array_s_grid_is_held_to_the_same_rules() -> None:
    array = np.zeros((3, 4, 5))
    for geometry in (
        {"spacing": (0.001, 1, 1)},
        {"spacing": (1, 1, 400)},
        {"direction": [[1, 0.2, 0], [0, 1, 0], [0, 0, 1]]},
    ):
        with pytest.raises(InputError, match="xpected"):
            Volume.from_array(array, **geometry)
