"""Left and right organs of a patient, compared with each other."""

import numpy as np
import pytest

from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.scoring.paired_organs import UnlikeSides, paired_organs, tissue_hu, unlike_sides

LEFT, RIGHT, MIDDLE = (
    Segment(value=value, name=name, color=(1, 0, 0))
    for value, name in ((1, "Parotid_L"), (2, "Parotid_R"), (3, "Cord"))
)
SEGMENTS = (LEFT, RIGHT, MIDDLE)


def patient(left_hu: float, right_hu: float) -> tuple[Volume, Volume]:
    """Masks on a grid of their own, and the CT."""
    ct = Volume.create(np.full((10, 20, 40), -90.0), (3, 2, 2))
    labels = Volume.create(np.zeros((15, 20, 40), np.uint8), (2, 2, 2))
    for value, hu, columns in ((1, left_hu, slice(4, 12)), (2, right_hu, slice(28, 36)), (3, 40.0, slice(18, 22))):
        ct.array[2:8, 6:14, columns] = hu
        labels.array[3:12, 6:14, columns] = value
    return labels, ct


SUPPORT = patient(10, 5)


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("LeftParotid", "RightParotid"), 1),
        (("Left Eye", "right eye"), 1),
        (("Parotid_L", "Parotid_R"), 1),
        (("Lt Lung", "RT Lung"), 1),
        (("femur-left", "femur-right"), 1),
        (("Left Parotid", "Right Eye"), 0),
        (("Larynx", "Rectum"), 0),
        (("Left Right", "Right Left"), 0),
        (("Kidney_L", "Kidney_L2"), 0),
    ],
)
def test_twins_are_those_whose_names_differ_in_the_side_alone(names: tuple[str, str], pairs: int) -> None:
    segments = [Segment(value=value, name=name, color=(1, 0, 0)) for value, name in enumerate(names, 1)]
    assert [tuple(pair) for pair in paired_organs(segments)] == [tuple(segments)] * pairs


def test_an_organ_whose_place_holds_fat_is_missing_if_its_other_side_does_not() -> None:
    assert unlike_sides(SEGMENTS, patient(0, -65), SUPPORT) == [
        UnlikeSides(suspect=RIGHT, other=LEFT, difference_hu=65.0, is_missing=True)
    ]
    assert unlike_sides(SEGMENTS, patient(-65, 0), SUPPORT) == [
        UnlikeSides(suspect=LEFT, other=RIGHT, difference_hu=65.0, is_missing=True)
    ]


@pytest.mark.parametrize("hu", [-80, -25, 85])
def test_a_patient_of_other_tissue_than_the_support_has_both_sides(hu: float) -> None:
    assert unlike_sides(SEGMENTS, patient(hu, hu - 19), SUPPORT) == []


def test_a_side_that_is_unlike_but_no_fat_is_not_missing() -> None:
    assert unlike_sides(SEGMENTS, patient(70, 5), SUPPORT) == [
        UnlikeSides(suspect=LEFT, other=RIGHT, difference_hu=65.0, is_missing=False)
    ]


def test_with_a_support_whose_own_sides_are_unlike_nothing_is_said() -> None:
    assert unlike_sides(SEGMENTS, patient(0, -65), patient(0, -65)) == []


def test_lungs_and_bones_are_not_compared() -> None:
    assert unlike_sides(SEGMENTS, patient(-800, -300), patient(-800, -790)) == []
    assert np.isnan(tissue_hu(*patient(900, 900), 1))


def test_a_structure_without_voxels_is_of_no_tissue() -> None:
    labels, ct = patient(0, -65)
    labels.array[labels.array == 2] = 0
    assert np.isnan(tissue_hu(labels, ct, 2))
    assert unlike_sides(SEGMENTS, (labels, ct), SUPPORT) == []
