"""The phantom cohort: repeatable, plausible, varied."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from OneShotSegLib import phantom
from OneShotSegLib.phantom import STRUCTURES
from OneShotSegLib.phantom.cohort import PROTOCOLS, PhantomCase
from OneShotSegLib.phantom.deformation import Deformation

COARSE = 1.4
WHOLE = (0, 1, 2, 3, 6, 7, 8)
VOLUMES_ML = {
    "Brainstem": (12, 45),
    "SpinalCord": (4, 30),
    "RightParotid": (8, 50),
    "LeftParotid": (8, 50),
    "Mandible": (35, 120),
    "Larynx": (20, 60),
    "Thyroid": (5, 28),
}
HU_RANGE = {
    "Brainstem": (25, 50),
    "SpinalCord": (20, 60),
    "RightParotid": (-50, 60),
    "LeftParotid": (-50, 60),
    "Mandible": (450, 1500),
    "Larynx": (-450, 150),
    "Thyroid": (60, 220),
}


@functools.cache
def patient(index: int) -> PhantomCase:
    return phantom.make_patient(index, coarseness=COARSE)


def value_of(name: str) -> int:
    return next(structure.value for structure in STRUCTURES if structure.name == name)


def mask_of(case: PhantomCase, name: str) -> np.ndarray:
    return case.reference.array == value_of(name)


def centre_of(case: PhantomCase, name: str) -> np.ndarray:
    return case.reference.to_world(np.argwhere(mask_of(case, name)).mean(axis=0))


def test_the_same_index_and_seed_give_the_same_patient() -> None:
    first = phantom.make_patient(1, coarseness=2.0)
    again = phantom.make_patient(1, coarseness=2.0)
    assert np.array_equal(first.ct.array, again.ct.array)
    assert np.array_equal(first.reference.array, again.reference.array)
    assert first.ct.same_grid(again.ct)
    assert first.traits == again.traits


def test_another_seed_gives_another_patient_with_the_same_protocol() -> None:
    first = phantom.make_patient(1, seed=1, coarseness=2.0)
    other = phantom.make_patient(1, seed=2, coarseness=2.0)
    assert np.array_equal(first.ct.spacing, other.ct.spacing)
    assert first.traits != other.traits
    assert np.abs(first.deformation.controls - other.deformation.controls).max() > 1


def test_a_cohort_is_its_patients_in_order() -> None:
    cohort = list(phantom.make_cohort(2, seed=5, coarseness=3.0))
    assert [case.name for case in cohort] == ["phantom_00", "phantom_01"]
    assert np.array_equal(cohort[1].ct.array, phantom.make_patient(1, seed=5, coarseness=3.0).ct.array)


@pytest.mark.parametrize(("index", "coarseness"), [(-1, 1.0), (0, 0.0)])
def test_nonsense_arguments_are_refused_in_words(index: int, coarseness: float) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        phantom.make_patient(index, coarseness=coarseness)


@pytest.mark.parametrize("index", WHOLE)
def test_image_and_reference_share_a_grid_and_have_the_usual_types(index: int) -> None:
    case = patient(index)
    assert case.ct.same_grid(case.reference)
    assert case.ct.array.dtype == np.int16
    assert case.reference.array.dtype == np.uint8
    assert np.array_equal(case.ct.direction, np.eye(3))


def test_a_full_size_patient_is_of_the_promised_size() -> None:
    case = phantom.make_patient(4)
    assert all(60 <= n <= 130 for n in case.ct.shape)
    assert 2.5 <= case.ct.spacing[0] <= 4.0
    assert 1.9 <= case.ct.spacing[1] <= 2.6


@pytest.mark.parametrize("index", WHOLE)
def test_every_structure_is_one_piece_of_a_plausible_volume(index: int) -> None:
    case = patient(index)
    voxel_ml = float(np.prod(case.ct.spacing)) / 1000
    for structure in STRUCTURES:
        mask = case.reference.array == structure.value
        low, high = VOLUMES_ML[structure.name]
        assert low <= mask.sum() * voxel_ml <= high, structure.name
        pieces, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
        assert count == 1, f"{structure.name} is in {np.bincount(pieces.ravel())[1:]} pieces"


@pytest.mark.parametrize("index", WHOLE)
def test_every_structure_has_the_hu_of_its_tissue(index: int) -> None:
    case = patient(index)
    for name, (low, high) in HU_RANGE.items():
        mean = case.ct.array[mask_of(case, name)].mean()
        assert low <= mean <= high, f"{name}: {mean:.0f} HU"


@pytest.mark.parametrize("index", WHOLE)
def test_the_image_has_air_fat_soft_tissue_bone_and_enamel(index: int) -> None:
    hu = patient(index).ct.array
    assert hu.min() >= -1024
    assert hu.max() <= 3071
    body = hu > -300
    assert 0.1 < body.mean() < 0.8
    assert (hu < -950).mean() > 0.15
    assert ((hu > -140) & (hu < -60)).sum() > 0.04 * body.sum()
    assert ((hu > 10) & (hu < 90)).sum() > 0.3 * body.sum()
    assert 0.03 * body.sum() < (hu > 250).sum() < 0.3 * body.sum()
    assert (hu > 1800).any()


@pytest.mark.parametrize("index", WHOLE)
def test_right_lies_at_small_x_and_the_head_at_large_z(index: int) -> None:
    case = patient(index)
    right, left = centre_of(case, "RightParotid"), centre_of(case, "LeftParotid")
    assert 80 < left[2] - right[2] < 160
    heights = [centre_of(case, name)[0] for name in ("Thyroid", "Larynx", "Mandible", "Brainstem")]
    assert heights == sorted(heights)
    assert centre_of(case, "Mandible")[1] < centre_of(case, "SpinalCord")[1]


def test_the_field_of_view_may_end_above_the_thyroid() -> None:
    case = patient(4)
    assert [structure.name for structure in case.absent] == ["Thyroid"]
    assert mask_of(case, "Larynx")[0].any(), "the scan ends in the larynx"


@pytest.mark.parametrize("index", [5, 9])
def test_what_surgery_removed_is_not_in_the_reference(index: int) -> None:
    case = patient(index)
    assert {structure.name for structure in case.absent} == PROTOCOLS[index].removed
    assert not set(case.present) & set(case.absent)


def test_patients_differ_in_spacing_origin_and_coverage() -> None:
    cases = [patient(index) for index in WHOLE]
    assert len({tuple(case.ct.spacing) for case in cases}) == len(cases)
    assert len({tuple(case.ct.origin) for case in cases}) == len(cases)
    assert len({round(case.ct.size_mm[0] / 20) for case in cases}) >= 4


def test_the_variation_between_patients_is_smooth_and_not_small() -> None:
    axis = np.arange(-120.0, 121.0, 10.0)
    grid = np.stack(np.meshgrid(axis, axis * 0.7, axis * 0.7, indexing="ij"))
    still = Deformation.identity().to_anatomy(grid)
    assert np.allclose(still, grid, atol=1e-3)
    for seed in range(5):
        moved = Deformation.random(np.random.default_rng(seed)).to_anatomy(grid)
        assert np.abs(moved - grid).max() > 4
        steps = np.array([10.0, 7.0, 7.0])
        jacobian = np.stack([np.stack(np.gradient(part, *steps), axis=-1) for part in moved], axis=-2)
        determinant = np.linalg.det(jacobian)
        assert determinant.min() > 0.4, "the deformation folds"
        assert determinant.max() < 2.2


def test_without_variation_only_the_grid_and_the_traits_differ() -> None:
    case = phantom.make_patient(0, coarseness=3.0, variation=0.0)
    points = case.reference_point + np.array([[0.0, 0.0, 0.0], [10.0, -20.0, 30.0]])
    assert np.allclose(case.to_anatomy(points), points - case.reference_point, atol=1e-3)


def test_the_same_anatomical_place_has_the_same_structure_in_every_patient() -> None:
    for index in WHOLE:
        case = patient(index)
        inside = np.argwhere(mask_of(case, "Brainstem"))
        middle = case.to_anatomy(case.reference.to_world(inside)).mean(axis=0)
        assert np.linalg.norm(middle - [18, -9, 0]) < 6


def test_the_cohort_on_disk_reads_back_as_it_was(tmp_path: Path) -> None:
    from OneShotSegLib.imaging.files import read_volume
    from OneShotSegLib.imaging.labelmaps import read_label_map

    files = phantom.write_cohort(tmp_path, count=2, coarseness=3.0)
    case = phantom.make_patient(0, coarseness=3.0)
    ct = read_volume(files.support)
    assert ct.same_grid(case.ct)
    assert np.array_equal(ct.array, case.ct.array)
    painted = read_label_map(files.scribbles)
    assert [segment.name for segment in painted.segments] == [s.name for s in STRUCTURES] + ["Background"]
    assert len(files.queries) == 1
    reference = read_label_map(files.references / "phantom_00.seg.nrrd")
    assert np.array_equal(reference.volume.array, case.reference.array)
