"""Scribbles made from a full label map."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from OneShotSegLib import phantom
from OneShotSegLib.method.stroke_simulation import brushed, medial_stroke, slices_to_paint, thinned
from OneShotSegLib.phantom import BACKGROUND, strokes_from_mask

MM = np.array([1.0, 1.0])


@pytest.fixture(scope="module")
def case() -> phantom.PhantomCase:
    return phantom.make_patient(0)


@pytest.fixture(scope="module")
def strokes(case: phantom.PhantomCase) -> np.ndarray:
    return phantom.scribbles(case).array


def test_every_stroke_lies_inside_its_structure(case: phantom.PhantomCase, strokes: np.ndarray) -> None:
    for structure in case.present:
        painted = strokes == structure.value
        assert painted.any(), structure.name
        assert np.all(case.reference.array[painted] == structure.value), structure.name


def test_background_strokes_lie_outside_every_structure_and_inside_the_body(
    case: phantom.PhantomCase, strokes: np.ndarray
) -> None:
    painted = strokes == BACKGROUND.value
    assert painted.any()
    assert not case.reference.array[painted].any()
    assert case.ct.array[painted].min() > -300


def test_the_scribbles_have_the_grid_of_the_image(case: phantom.PhantomCase) -> None:
    assert phantom.scribbles(case).same_grid(case.ct)


def test_a_structure_has_four_strokes_and_one_more_per_20_mm(case: phantom.PhantomCase, strokes: np.ndarray) -> None:
    for structure in case.present:
        occupied = (case.reference.array == structure.value).any(axis=(1, 2)).sum()
        painted = (strokes == structure.value).any(axis=(1, 2)).sum()
        assert painted == 4 + int(occupied * case.ct.spacing[0] // 20), structure.name


def test_scribbles_are_a_small_share_of_what_a_full_segmentation_paints(
    case: phantom.PhantomCase, strokes: np.ndarray
) -> None:
    full = np.count_nonzero(case.reference.array)
    assert np.count_nonzero((strokes > 0) & (strokes != BACKGROUND.value)) < 0.15 * full


def test_every_slice_with_a_stroke_has_background_too(strokes: np.ndarray) -> None:
    for z in np.flatnonzero((strokes > 0).any(axis=(1, 2))):
        assert (strokes[z] == BACKGROUND.value).any()


def test_the_same_label_map_gives_the_same_strokes(case: phantom.PhantomCase, strokes: np.ndarray) -> None:
    assert np.array_equal(phantom.scribbles(case).array, strokes)


def test_an_absent_structure_gets_no_stroke() -> None:
    case = phantom.make_patient(5, coarseness=1.5)
    assert not (phantom.scribbles(case).array == case.absent[0].value).any()


def test_an_empty_label_map_gives_an_empty_map() -> None:
    assert not strokes_from_mask(np.zeros((4, 5, 6), np.uint8), (1, 1, 1), 8).any()


def test_a_structure_of_one_voxel_is_painted_on_its_one_slice() -> None:
    labels = np.zeros((5, 9, 9), np.uint8)
    labels[2, 4, 4] = 3
    strokes = strokes_from_mask(labels, (2, 1, 1), 8)
    assert np.argwhere(strokes == 3).tolist() == [[2, 4, 4]]


def test_slices_are_spread_and_keep_off_the_ends() -> None:
    mask = np.zeros((40, 2, 2), bool)
    mask[5:35] = True
    chosen = slices_to_paint(mask, 2.0)
    assert len(chosen) == 4 + 3
    assert chosen[0] > 5
    assert chosen[-1] < 34


def test_the_stroke_of_a_long_bar_is_one_line_along_its_middle() -> None:
    mask = np.zeros((20, 60), bool)
    mask[6:15, 5:55] = True
    line = medial_stroke(mask, MM)
    assert ndimage.label(line, structure=np.ones((3, 3)))[1] == 1
    rows, columns = np.nonzero(line)
    assert np.abs(rows - 10).max() <= 3
    assert columns.max() - columns.min() > 30


def test_a_brushed_stroke_is_half_as_wide_as_its_bar() -> None:
    mask = np.zeros((24, 60), bool)
    mask[4:19, 5:55] = True
    stroke = brushed(medial_stroke(mask, MM), mask, MM, 0.5)
    widths = stroke[:, 20:40].sum(axis=0)
    assert widths.min() >= 7
    assert widths.max() <= 10
    assert not stroke[~mask].any()


def test_a_brush_of_no_width_paints_the_line_alone() -> None:
    mask = np.zeros((24, 60), bool)
    mask[4:19, 5:55] = True
    line = medial_stroke(mask, MM)
    assert (brushed(line, mask, MM, 0.0) == line).all()


def test_only_the_largest_piece_of_a_slice_is_stroked() -> None:
    mask = np.zeros((20, 40), bool)
    mask[5:15, 3:20] = True
    mask[5:8, 30:33] = True
    assert not medial_stroke(mask, MM)[:, 25:].any()


def test_thinning_keeps_a_ring_a_ring() -> None:
    y, x = np.mgrid[:41, :41] - 20
    ring = (np.hypot(y, x) < 16) & (np.hypot(y, x) > 9)
    line = thinned(ring)
    assert line.sum() < 0.3 * ring.sum()
    assert ndimage.label(~line)[1] == 2
