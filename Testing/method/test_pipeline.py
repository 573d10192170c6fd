"""The whole method on one support and one query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from OneShotSegLib import phantom
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.alignment import AlignmentSettings
from OneShotSegLib.method.pipeline import STEPS, segment_query
from OneShotSegLib.method.settings import DEFAULT, PAPER, Method
from OneShotSegLib.method.support import Support
from OneShotSegLib.networks.weights import Weights
from OneShotSegLib.phantom import PhantomCase
from OneShotSegLib.scoring.overlap import dice
from Testing.helpers.phantom_support import COARSENESS, prepared_phantom
from Testing.helpers.shared import made_once
from Testing.helpers.storing import (
    stored_in_ras,
    stored_obliquely,
    stored_with_other_spacing,
    stored_with_permuted_axes,
)

# Where the image itself is interpolated, the borders of the masks move by fractions of a voxel. These voxels are large,
# 4.2 x 3.1 x 3.1 mm; at those of a clinical CT the masks are the same ones (below, and docs/accuracy.md).
RESAMPLED = 0.88
STRAIGHT = 0.95
CLINICAL_COARSENESS = 0.6  # voxels of 1.8 x 1.3 x 1.3 mm


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A prepared support and a query with its straight result."""

    weights: Weights
    support: Support
    patient: PhantomCase
    mask: Volume


@pytest.fixture(scope="module")
def scene(phantom_weights: Weights, phantom_support: Support, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    patient = phantom.make_patient(1, coarseness=COARSENESS)
    mask = made_once(tmp_path_factory, "scene", lambda folder: mask_of(phantom_support, patient.ct, phantom_weights))
    return Scene(weights=phantom_weights, support=phantom_support, patient=patient, mask=mask)


def mask_of(support: Support, query: Volume, weights: Weights, method: Method = DEFAULT) -> Volume:
    return segment_query(support, query, weights, method).pseudo_mask()


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


def test_at_a_clinical_voxel_size_an_interpolated_query_gets_the_same_mask_too(phantom_weights: Weights) -> None:
    support = prepared_phantom(phantom_weights, DEFAULT, coarseness=CLINICAL_COARSENESS)
    patient = phantom.make_patient(1, coarseness=CLINICAL_COARSENESS)
    expected = mask_of(support, patient.ct, phantom_weights)
    for store in (stored_obliquely, stored_with_other_spacing):
        back = resample_labels(mask_of(support, store(patient.ct), phantom_weights), expected).array
        assert dice(back > 0, expected.array > 0) > STRAIGHT


def test_the_same_input_gives_the_same_mask(scene: Scene) -> None:
    again = mask_of(scene.support, scene.patient.ct, scene.weights)
    np.testing.assert_array_equal(again.array, scene.mask.array)


def test_the_support_as_its_own_query_gets_its_strokes_back(scene: Scene) -> None:
    result = segment_query(scene.support, scene.support.prepared.ct, scene.weights, DEFAULT)
    moved = np.linalg.norm(result.propagation.points.positions - scene.support.scribbles.points.positions, axis=1)
    assert np.median(moved) < 4


def test_every_structure_of_the_phantom_is_found_where_it_is(scene: Scene) -> None:
    reference = scene.patient.reference.array
    reached = [dice(scene.mask.array == segment.value, reference == segment.value) for segment in scene.patient.present]
    assert np.mean(reached) > 0.3
    assert min(reached) > 0


def test_the_papers_settings_run_the_same_steps(phantom_weights: Weights, scene: Scene) -> None:
    support = prepared_phantom(
        phantom_weights, PAPER, every=40
    )  # the paper sends each voxel of a stroke through both networks
    steps: list[str] = []
    result = segment_query(support, scene.patient.ct, phantom_weights, PAPER, on_step=steps.append)
    assert tuple(steps) == STEPS
    assert set(result.seconds) == set(STEPS)
    assert len(result.propagation.points) == len(support.scribbles.chosen)
    assert set(np.unique(result.refined.array)) > {0}


def test_the_fine_networks_grid_gives_the_same_mask_by_name_and_by_its_spacing(
    phantom_weights: Weights, scene: Scene
) -> None:
    masks = []
    for spacing in (None, phantom_weights.fine.info.spacing):
        method = replace(
            DEFAULT,
            alignment=AlignmentSettings(enabled=False),
            expansion=replace(DEFAULT.expansion, spacing=spacing, limit_extent=False),
        )
        masks.append(
            mask_of(prepared_phantom(phantom_weights, method), scene.patient.ct, phantom_weights, method).array
        )
    assert masks[0].any()
    np.testing.assert_array_equal(masks[0], masks[1])


def test_a_volume_smaller_than_a_patch_is_padded_not_refused(scene: Scene) -> None:
    ct = scene.patient.ct
    middle = tuple(slice(n // 2 - 8, n // 2 + 8) for n in ct.shape)
    start = ct.to_world([part.start for part in middle])
    small = Volume(array=ct.array[middle], spacing=ct.spacing, origin=start, direction=ct.direction)
    assert mask_of(scene.support, small, scene.weights).same_grid(small)


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (lambda array: np.full_like(array, 3), "constant value"),
        (lambda array: np.abs(array.astype(np.float32)), "in HU"),
        (lambda array: np.where(array > 0, np.nan, array.astype(np.float32)), "not numbers"),
    ],
)
def test_a_query_that_is_no_ct_is_refused_in_a_sentence(
    scene: Scene, broken: Callable[[NDArray[Any]], NDArray[Any]], sentence: str
) -> None:
    ct = scene.patient.ct
    with pytest.raises(InputError, match=sentence):
        segment_query(scene.support, ct.with_array(broken(ct.array)), scene.weights, DEFAULT)
