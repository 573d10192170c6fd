"""Pictures of a case: right way up, true to scale, the same for any storage of the CT."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.resampling import resample, working_grid
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.report.figures import Picture, Scene, center_of

SPACING = (3.0, 1.0, 2.0)


def patient() -> tuple[Volume, Volume]:
    """A body of water with bone at the left front of the head (high z), labelled 1, and a label 2 at the right."""
    array = np.full((40, 90, 60), -1000, dtype=np.int16)
    array[2:38, 10:80, 8:52] = 20
    array[28:36, 16:30, 38:48] = 900
    labels = np.zeros(array.shape, dtype=np.uint8)
    labels[28:36, 16:30, 38:48] = 1
    labels[28:36, 40:60, 12:20] = 2
    origin = (-50.0, 30.0, 10.0)
    return Volume.create(array, SPACING, origin), Volume.create(labels, SPACING, origin)


def pixels(picture: Picture) -> NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(picture.jpeg)))


def bright_corner(picture: Picture) -> tuple[str, str]:
    """In which half, up and down and left and right, the bone is."""
    image = pixels(picture)
    rows, columns = np.nonzero(image > 230)
    height, width = image.shape
    return ("top" if rows.mean() < height / 2 else "bottom", "left" if columns.mean() < width / 2 else "right")


def flipped(volume: Volume) -> Volume:
    """The same voxels in the same places, stored with every axis running the other way."""
    last = np.asarray(volume.shape) - 1
    return Volume.create(
        volume.array[::-1, ::-1, ::-1].copy(), volume.spacing, volume.to_world(last), -volume.direction
    )


def transposed(volume: Volume) -> Volume:
    """The same voxels in the same places, stored with the axes in another order."""
    order = [2, 0, 1]
    return Volume.create(
        volume.array.transpose(order).copy(), volume.spacing[order], volume.origin, volume.direction[:, order]
    )


def oblique(volume: Volume, order: int) -> Volume:
    """The same patient read on a grid turned by 20 degrees about z."""
    turn = np.deg2rad(20)
    direction = np.array([[1, 0, 0], [0, np.cos(turn), np.sin(turn)], [0, -np.sin(turn), np.cos(turn)]])
    middle = volume.to_world((np.asarray(volume.shape) - 1) / 2)
    shape = (120, 160, 160)
    origin = middle - direction @ ((np.asarray(shape) - 1) / 2)
    grid = Volume.create(np.broadcast_to(np.uint8(0), shape), (1, 1, 1), origin, direction)
    return resample(volume, grid, fill=-1000) if order else resample_labels(volume, grid)


def overview(ct: Volume, labels: Volume) -> dict[str, Picture]:
    center = center_of(labels, 1)
    assert center is not None
    return {picture.plane: picture for picture in Scene(ct, labels).overview(center)}


def test_the_patients_right_is_at_left_and_front_and_head_are_up() -> None:
    shown = overview(*patient())
    assert bright_corner(shown["axial"]) == ("top", "right")
    assert bright_corner(shown["coronal"]) == ("top", "right")
    assert bright_corner(shown["sagittal"]) == ("top", "left")


def test_pictures_are_true_to_scale_and_cropped_around_the_body() -> None:
    shown = overview(*patient())
    margins = 16
    assert shown["axial"].width_mm == pytest.approx(44 * 2 + margins, abs=5)
    assert shown["axial"].height * shown["axial"].pixel_mm == pytest.approx(70 + margins, abs=5)
    assert shown["coronal"].height * shown["coronal"].pixel_mm == pytest.approx(36 * 3 + margins, abs=7)


@pytest.mark.parametrize("stored", [flipped, transposed])
def test_a_ct_stored_otherwise_gives_the_same_pictures(stored: Any) -> None:
    ct, labels = patient()
    straight, other = overview(ct, labels), overview(stored(ct), stored(labels))
    for plane, picture in straight.items():
        assert pixels(picture).shape == pixels(other[plane]).shape
        # The structure's centre may fall on the neighbouring voxel of an even number.
        assert np.mean(np.abs(pixels(picture).astype(int) - pixels(other[plane]))) < 4


def test_an_oblique_ct_is_shown_straight() -> None:
    ct, labels = patient()
    shown = overview(oblique(ct, 1), oblique(labels, 0))
    assert bright_corner(shown["axial"]) == ("top", "right")
    assert bright_corner(shown["sagittal"]) == ("top", "left")


def test_outlines_lie_over_what_they_outline() -> None:
    ct, labels = patient()
    picture = overview(ct, labels)["axial"]
    (line,) = [overlay for overlay in picture.outlines if overlay.value == 1]
    start = line.path[1:].split("l")[0].split()
    x, y = (int(number) // 10 for number in start)
    near = pixels(picture)[max(y - 4, 0) : y + 4, max(x - 4, 0) : x + 4]
    assert near.max() > 230
    assert near.min() < 180


def test_a_close_up_is_square_and_shows_the_structure() -> None:
    ct, labels = patient()
    shown = Scene(ct, labels).close_up(labels, 2)
    assert [picture.plane for picture in shown] == ["axial", "coronal", "sagittal"]
    for picture in shown:
        assert picture.width == picture.height
        assert 2 in {overlay.value for overlay in picture.outlines}


def test_a_structure_without_voxels_has_no_close_up() -> None:
    ct, labels = patient()
    assert Scene(ct, labels).close_up(labels, 7) == ()


def test_scribbles_are_dots_where_they_lie_in_the_plane() -> None:
    ct, labels = patient()
    strokes = labels.with_array(np.zeros_like(labels.array))
    strokes.array[32, 20, 40:46] = 1
    center = center_of(strokes, 1)
    assert center is not None
    axial, _, sagittal = Scene(ct, None, strokes).overview(center)
    assert axial.dots[0].path.count("M") == 6
    assert sagittal.dots[0].path.count("M") == 1
    above = Scene(ct, None, strokes).overview(center + np.array([6.0, 0, 0]))[0]
    assert above.dots == ()


def test_the_centre_of_a_curved_structure_lies_in_it() -> None:
    array = np.zeros((5, 30, 30), dtype=np.uint8)
    array[2, 5:25, 5:25] = 1
    array[2, 8:22, 8:25] = 0
    labels = Volume.create(array, SPACING)
    center = center_of(labels, 1)
    assert center is not None
    assert array[tuple(np.rint(labels.to_index(center)).astype(int))] == 1


def test_an_image_without_tissue_is_shown_whole() -> None:
    ct = Volume.create(np.full((20, 20, 20), -1000, dtype=np.int16))
    (axial, *_) = Scene(ct).overview(np.array([10.0, 10.0, 10.0]))
    assert axial.width_mm == pytest.approx(20, abs=1)


def test_a_working_grid_is_no_precondition() -> None:
    ct, labels = patient()
    coarse = working_grid(ct, (5, 5, 5))
    picture = overview(ct, resample_labels(labels, coarse))["axial"]
    assert {overlay.value for overlay in picture.outlines} >= {1}
