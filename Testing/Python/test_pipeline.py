"""The whole method on one support and one query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

from OneShotSegLib import phantom
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.itk import from_itk, to_itk
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.resampling import resample, resample_labels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.weights import Weights, load_weights, resolve_weights
from OneShotSegLib.phantom import PhantomCase
from OneShotSegLib.pipeline import DEFAULT, PAPER, STEPS, Method, Support, prepare_support, segment_query
from OneShotSegLib.study.scoring import dice

# The image itself is interpolated here: the borders of the masks move by fractions of a voxel, and these voxels are
# large. docs/accuracy.md has what is reached at which voxel size.
RESAMPLED = 0.85
STRAIGHT = 0.95


@dataclass(frozen=True)
class Scene:
    """A prepared support and a query with its straight result."""

    weights: Weights
    support: Support
    patient: PhantomCase
    mask: Volume


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights(resolve_weights("phantom"))


def supported(weights: Weights, method: Method, every: int = 1) -> Support:
    """The first patient as support, with every so many-th voxel of its strokes."""
    case = phantom.make_patient(0, coarseness=1.4)
    segments = (*case.present, phantom.BACKGROUND)
    strokes = phantom.scribbles(case)
    painted = np.argwhere(strokes.array)
    kept = np.zeros_like(strokes.array)
    kept[tuple(painted[::every].T)] = strokes.array[tuple(painted[::every].T)]
    return prepare_support(case.ct, LabelMap(strokes.with_array(kept), segments), weights, method)


@pytest.fixture(scope="module")
def scene(weights: Weights) -> Scene:
    patient = phantom.make_patient(1, coarseness=1.4)
    support = supported(weights, DEFAULT)
    return Scene(weights, support, patient, mask_of(support, patient.ct, weights))


def mask_of(support: Support, query: Volume, weights: Weights, method: Method = DEFAULT) -> Volume:
    return segment_query(support, query, weights, method).pseudo_mask()


def stored_in_ras(ct: Volume) -> Volume:
    return from_itk(sitk.DICOMOrient(to_itk(ct), "RAS"))


def stored_with_permuted_axes(ct: Volume) -> Volume:
    return from_itk(sitk.DICOMOrient(to_itk(ct), "SAL"))


def stored_obliquely(ct: Volume) -> Volume:
    turn = Rotation.from_euler("zyx", [8, -6, 12], degrees=True).as_matrix()
    centre = ct.to_world((np.asarray(ct.shape) - 1) / 2)
    shape = np.ceil(np.asarray(ct.shape) * 1.15).astype(int)
    oblique = Volume.create(np.zeros(shape, np.uint8), ct.spacing, direction=turn)
    placed = Volume(oblique.array, ct.spacing, centre - oblique.to_world((shape - 1) / 2), turn)
    return resample(ct, placed, fill=-1000)


def stored_with_other_spacing(ct: Volume) -> Volume:
    spacing = ct.spacing * (0.8, 1.15, 1.15)
    shape = np.ceil(ct.size_mm / spacing).astype(int)
    return resample(ct, Volume.create(np.zeros(shape, np.uint8), spacing, ct.origin), fill=-1000)


@pytest.mark.parametrize(
    ("store", "least"),
    [
        (stored_in_ras, STRAIGHT),
        (stored_with_permuted_axes, STRAIGHT),
        (stored_obliquely, RESAMPLED),
        (stored_with_other_spacing, RESAMPLED),
    ],
)
def test_however_a_query_is_stored_its_mask_lies_at_the_same_place(
    scene: Scene, store: Callable[[Volume], Volume], least: float
) -> None:
    stored = store(scene.patient.ct)
    mask = mask_of(scene.support, stored, scene.weights)
    back = resample_labels(mask, scene.mask).array
    assert dice(back > 0, scene.mask.array > 0) > least


def test_the_same_input_gives_the_same_mask(scene: Scene) -> None:
    again = mask_of(scene.support, scene.patient.ct, scene.weights)
    np.testing.assert_array_equal(again.array, scene.mask.array)


def test_the_support_as_its_own_query_gets_its_strokes_back(scene: Scene) -> None:
    result = segment_query(scene.support, scene.support.prepared.ct, scene.weights, DEFAULT)
    moved = np.linalg.norm(result.propagation.points.positions - scene.support.landmarks.points.positions, axis=1)
    assert np.median(moved) < 4


def test_every_structure_of_the_phantom_is_found_where_it_is(scene: Scene) -> None:
    reference = scene.patient.reference.array
    reached = [dice(scene.mask.array == segment.value, reference == segment.value) for segment in scene.patient.present]
    assert np.mean(reached) > 0.3
    assert min(reached) > 0


def test_the_papers_settings_run_the_same_steps(weights: Weights, scene: Scene) -> None:
    support = supported(weights, PAPER, every=40)  # the paper sends each voxel of a stroke through both networks
    steps: list[str] = []
    result = segment_query(support, scene.patient.ct, weights, PAPER, on_step=steps.append)
    assert tuple(steps) == STEPS
    assert set(result.seconds) == set(STEPS)
    assert len(result.propagation.points) == len(support.landmarks.chosen)
    assert set(np.unique(result.refined.array)) > {0}


def test_a_volume_smaller_than_a_patch_is_padded_not_refused(scene: Scene) -> None:
    ct = scene.patient.ct
    middle = tuple(slice(n // 2 - 8, n // 2 + 8) for n in ct.shape)
    start = ct.to_world([part.start for part in middle])
    small = Volume(ct.array[middle], ct.spacing, start, ct.direction)
    assert mask_of(scene.support, small, scene.weights).same_grid(small)


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (lambda array: np.full_like(array, 3), "constant value"),
        (lambda array: np.abs(array.astype(np.float32)), "in HU"),
        (lambda array: np.where(array > 0, np.nan, array.astype(np.float32)), "not numbers"),
    ],
)
def test_a_query_that_is_no_ct_is_refused_in_a_sentence(scene: Scene, broken, sentence: str) -> None:
    ct = scene.patient.ct
    with pytest.raises(InputError, match=sentence):
        segment_query(scene.support, ct.with_array(broken(ct.array)), scene.weights, DEFAULT)
