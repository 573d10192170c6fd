from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.scribbles import check_grid, farthest_points, points_of, thin
from OneShotSegLib.method.structures import structures_of


def label_map(painted: dict[int, str], *unpainted: Segment) -> LabelMap:
    array = np.zeros((4, 6, 8), np.uint8)
    for number, value in enumerate(painted):
        array[1, 1, number] = value
    named = tuple(Segment(value=value, name=name, color=(1, 0, 0)) for value, name in painted.items())
    return LabelMap(Volume.create(array, (3, 2, 1)), (*named, *unpainted))


def test_the_segment_named_background_in_any_case_is_the_background_stroke() -> None:
    structures = structures_of(label_map({1: "Heart", 9: "BACKGROUND "}))
    assert structures.background.value == 9
    assert structures.values == [1]


def test_a_plain_label_value_can_be_named_the_background() -> None:
    structures = structures_of(label_map({1: "Structure 1", 8: "Structure 8"}).with_background(8))
    assert structures.background.value == 8


@pytest.mark.parametrize(
    ("painted", "unpainted", "sentence"),
    [
        ({1: "Heart"}, (), "background stroke"),
        ({9: "Background"}, (), "at least one structure"),
        ({1: "Heart"}, (Segment(value=9, name="Background", color=(0, 0, 0)),), "background stroke"),
        ({1: "Heart", 9: "Background"}, (Segment(value=2, name="Liver", color=(0, 0, 0)),), "none for: Liver"),
    ],
)
def test_missing_strokes_are_named_in_one_sentence(painted: Any, unpainted: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        structures_of(label_map(painted, *unpainted))


def test_points_are_the_centres_of_painted_voxels_in_the_patient() -> None:
    turned = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    array = np.zeros((4, 6, 8), np.uint8)
    array[2, 3, 5] = 7
    points = points_of(Volume.create(array, (3, 2, 1), (10, 20, 30), turned))
    np.testing.assert_allclose(points.positions, [[16, 25, 36]])
    assert points.labels.tolist() == [7]


def test_scribbles_on_another_grid_are_refused_with_both_grids_in_the_sentence() -> None:
    scribbles = Volume.create(np.zeros((4, 6, 8), np.uint8), (3, 2, 1))
    with pytest.raises(InputError, match="8 x 6 x 4 voxels"):
        check_grid(scribbles, Volume.create(np.zeros((4, 6, 8)), (3, 2, 2)))


def test_thinning_keeps_every_label_and_spreads_the_rest() -> None:
    points = points_of(label_map({1: "Heart", 9: "Background"}).volume)
    assert thin(points, 5).tolist() == [0, 1]
    line = np.stack([np.zeros(101), np.zeros(101), np.arange(101.0)], axis=1)
    assert sorted(farthest_points(line, 3).tolist()) == [0, 50, 100]
