import numpy as np
import torch

from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.denoising import (
    DenoisingSettings,
    PatchFeatures,
    denoise,
    similarity_of,
    spread_to_neighbours,
)
from OneShotSegLib.method.scribbles import ScribblePoints

BACKGROUND = 9
QUERY = Volume.create(np.zeros((10, 10, 10)), (2, 2, 2))


def points(*labels: int) -> ScribblePoints:
    return ScribblePoints(np.full((len(labels), 3), 9.0), np.array(labels, np.uint8))


def test_similarity_is_the_product_of_the_levels_cosines() -> None:
    right, half = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.75**0.5]])
    support = PatchFeatures(torch.zeros(1, 3), [right, right])
    query = PatchFeatures(torch.zeros(1, 3), [right, half])
    np.testing.assert_allclose(similarity_of(support, query), [0.5], atol=1e-6)


def test_dissimilar_scribbles_are_dropped() -> None:
    settings = DenoisingSettings(threshold=0.1)
    denoised = denoise(points(1, 1, BACKGROUND), np.array([0.9, 0.05, 0.8]), QUERY, BACKGROUND, settings)
    assert denoised.keep.tolist() == [True, False, True]
    assert denoised.kept_share(np.array([1, 1, BACKGROUND]), 1) == 0.5


def test_scribbles_outside_the_field_of_view_are_dropped_however_similar() -> None:
    outside = ScribblePoints(np.array([[9.0, 9, 9], [9, 9, 21]]), np.array([1, 1], np.uint8))
    denoised = denoise(outside, np.array([0.9, 0.9]), QUERY, BACKGROUND, DenoisingSettings())
    assert denoised.keep.tolist() == [True, False]
    assert denoised.in_view.tolist() == [True, False]


def test_the_background_is_never_lost_as_a_whole() -> None:
    scribbles = points(1, BACKGROUND, BACKGROUND)
    denoised = denoise(scribbles, np.array([0.9, 0.0, 0.0]), QUERY, BACKGROUND, DenoisingSettings(threshold=0.1))
    assert denoised.keep.all()


def test_by_default_all_that_lie_in_view_are_kept() -> None:
    denoised = denoise(points(1, BACKGROUND), np.array([-0.9, 0.1]), QUERY, BACKGROUND, DenoisingSettings())
    assert denoised.keep.all()


def test_a_share_of_each_structure_can_be_kept_in_any_case() -> None:
    settings = DenoisingSettings(threshold=0.5, keep_at_least=0.5)
    denoised = denoise(points(1, 1, 1, 1), np.array([0.1, 0.4, 0.2, 0.3]), QUERY, BACKGROUND, settings)
    assert denoised.keep.tolist() == [False, True, False, True]


def test_points_that_were_not_looked_at_follow_their_nearest_neighbour_of_the_same_label() -> None:
    positions = np.array([[0.0, 0, 0], [0, 0, 1], [0, 0, 10], [0, 0, 9.5]])
    scribbles = ScribblePoints(positions, np.array([1, 1, 1, 2], np.uint8))
    spread = spread_to_neighbours(np.array([0.2, 0.7, 0.9]), scribbles, np.array([0, 2, 3]))
    assert spread.tolist() == [0.2, 0.2, 0.7, 0.9]
