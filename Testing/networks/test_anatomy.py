"""What a network has seen of its structures tells a CT of another part of the body from one of the same."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.anatomy import Placement, SeenAnatomy, placements
from OneShotSegLib.networks.inference import NetworkPrediction
from OneShotSegLib.networks.segmentation_checkpoint import SegmentationInfo, load_segmentation, save_segmentation
from OneShotSegLib.scoring.network import check_region

SPACING = (3.0, 4.0, 4.0)
CENTRES = np.array([(10, 20, 20), (25, 20, 12), (25, 20, 28)])
STRUCTURES = tuple(Segment(value=v, name=f"s{v}", color=(1, 0, 0)) for v in (4, 5, 6))


def channels(centres: np.ndarray, radius: float = 12.0, shape: tuple[int, int, int] = (36, 40, 40)) -> np.ndarray:
    """A ball for each structure, its centre in voxels, its radius in mm."""
    found = np.zeros(shape, np.uint8)
    places = np.moveaxis(np.indices(shape), 0, -1)
    for number, centre in enumerate(centres, 1):
        found[np.linalg.norm((places - centre) * SPACING, axis=-1) <= radius] = number
    return found


def seen() -> SeenAnatomy:
    chance = np.random.default_rng(0)
    cases = [CENTRES + chance.integers(-1, 2, CENTRES.shape) + chance.integers(-3, 4, 3) for _ in range(8)]
    return SeenAnatomy.of([placements(channels(case), SPACING, 3) for case in cases])


def prediction(found: np.ndarray) -> NetworkPrediction:
    probabilities = np.stack([found == channel for channel in range(4)]).astype(np.float32)
    grid = Volume.create(found.astype(np.float32), SPACING)
    return NetworkPrediction(labels=grid.with_array(found), probabilities=probabilities, grid=grid)


def info(anatomy: SeenAnatomy | None) -> SegmentationInfo:
    return SegmentationInfo(
        network="unet",
        base_channels=2,
        patch_size=(16, 16, 16),
        spacing=SPACING,
        structures=STRUCTURES,
        anatomy=anatomy,
    )


def test_placements_are_of_structures_that_are_there_as_a_whole() -> None:
    found = placements(channels(np.add(CENTRES, [(-9, 0, 0), (0, 0, 0), (0, 0, 0)])), SPACING, 4)
    assert [one is None for one in found] == [True, False, False, True]
    assert found[1] is not None
    np.testing.assert_allclose(found[1].centre, CENTRES[1] * SPACING)
    assert found[1].volume_ml == pytest.approx(4 / 3 * np.pi * 12**3 / 1000, rel=0.1)


def test_a_case_like_those_seen_passes_wherever_it_lies_in_its_scan() -> None:
    for move in ((0, 0, 0), (-4, 8, -7), (4, -5, 6)):
        assert check_region(prediction(channels(CENTRES + move)), info(seen())) == ()


def test_masks_that_lie_elsewhere_to_one_another_fail_the_case() -> None:
    scattered = np.array([(31, 5, 5), (5, 34, 35), (16, 34, 6)])
    with pytest.raises(InputError, match=r"^Expected the part of the body that the network learnt, found another one"):
        check_region(prediction(channels(scattered)), info(seen()))


def test_masks_that_lie_somewhat_elsewhere_are_said() -> None:
    said = check_region(prediction(channels(CENTRES + np.array([(0, 0, 0), (0, 11, 0), (0, -11, 0)]))), info(seen()))
    assert "mm further from one another's places than in any case of the training" in said[0]


def test_what_cannot_be_told_or_is_of_another_size_is_said() -> None:
    alone = channels(CENTRES)
    alone[alone > 1] = 0
    assert "1 of 3 structures is there as a whole: too few" in " ".join(check_region(prediction(alone), info(seen())))
    small = check_region(prediction(channels(CENTRES, radius=8.0)), info(seen()))
    assert "times larger or smaller than in any case of the training" in small[0]
    assert "was not checked" in check_region(prediction(alone), info(None))[0]


def test_too_few_cases_say_nothing() -> None:
    anatomy = SeenAnatomy.of([placements(channels(CENTRES), SPACING, 3)] * 2)
    assert anatomy == SeenAnatomy(whole=3)
    assert anatomy.distance_mm([Placement(centre=(0, 0, 0), volume_ml=1)] * 3) is None
    assert SeenAnatomy.of([]) == SeenAnatomy()


def test_it_is_kept_in_the_checkpoint(tmp_path: Path) -> None:
    described = info(seen())
    save_segmentation(tmp_path / "m.safetensors", described.build(), described)
    assert load_segmentation(tmp_path / "m.safetensors")[1].anatomy == seen()
    save_segmentation(tmp_path / "old.safetensors", described.build(), info(None))
    assert load_segmentation(tmp_path / "old.safetensors")[1].anatomy is None
    with pytest.raises(ValueError, match="anatomy of the network's structures"):
        replace(described, structures=STRUCTURES[:2])


@pytest.mark.parametrize(
    "change", [{"volumes": 3}, {"offsets": [{"structures": [0, 1]}]}, {"whole": "x"}, {"volumes": [{"structure": "a"}]}]
)
def test_other_content_is_refused(change: dict[str, object]) -> None:
    content = json.loads(json.dumps(asdict(seen()))) | change
    with pytest.raises((KeyError, TypeError, ValueError)):
        SeenAnatomy.from_json(content)
