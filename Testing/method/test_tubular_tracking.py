"""Long thin structures are followed beyond their strokes, others are left as they were painted."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.scribbles import ScribblePoints
from OneShotSegLib.method.structures import Structures
from OneShotSegLib.method.tubular_tracking import TrackingSettings, is_tubular, track_tubular

CORD, STEM, BACKGROUND = 1, 2, 9
SPACING = (2.5, 3.0, 3.0)
SHAPE = (80, 40, 40)
STRUCTURES = Structures(
    (Segment(value=CORD, name="Cord", color=(1, 0, 0)), Segment(value=STEM, name="Stem", color=(0, 1, 0))),
    Segment(value=BACKGROUND, name="Background", color=(0, 0, 0)),
)
SETTINGS = TrackingSettings()


def centre(z: np.ndarray | float) -> np.ndarray:
    """The canal's axis: it bends by 12 mm over 200 mm."""
    return np.stack([np.asarray(z), 60 + 12 * (np.asarray(z) / 200) ** 2, np.full_like(np.asarray(z), 58.0)], axis=-1)


def spine() -> Volume:
    """A bright ring around a grey canal, with noise and a landmark beside it that does not bend."""
    z, y, x = np.meshgrid(*[np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True)], indexing="ij")
    axis = centre(z)
    away = np.hypot(y - axis[..., 1], x - axis[..., 2])
    image = np.where(away < 8, 0.5, np.where(away < 14, 0.9, 0.4))
    noise = np.random.default_rng(0).normal(0, 0.08, SHAPE)
    return Volume.create((gaussian_filter(image, 0.5) + noise).astype(np.float32), SPACING)


def dabs(heights: tuple[float, ...], value: int = CORD) -> ScribblePoints:
    places = np.concatenate([centre(z) + np.array([[0, 0, 0], [0, 3, 0], [0, 0, 3]]) for z in heights])
    return ScribblePoints(places, np.full(len(places), value, np.uint8))


def joined(*parts: ScribblePoints) -> ScribblePoints:
    return ScribblePoints(np.concatenate([p.positions for p in parts]), np.concatenate([p.labels for p in parts]))


def added(points: ScribblePoints, settings: TrackingSettings = SETTINGS) -> np.ndarray:
    image = spine()
    followed = track_tubular(points, STRUCTURES, image, image, settings)
    assert (followed.positions[: len(points)] == points.positions).all()
    assert (followed.labels[len(points) :] == CORD).all()
    return followed.positions[len(points) :]


def test_a_bending_canal_is_followed_at_both_ends_without_leaving_it() -> None:
    places = added(dabs((70.0, 90.0, 110.0, 130.0)))
    off_axis = np.linalg.norm((places - centre(places[:, 0]))[:, 1:], axis=1)
    assert off_axis.max() < 5.0
    # 0.45 of the 60 mm that the strokes span, on slices of 2.5 mm, at either end.
    assert places[:, 0].min() == pytest.approx(70 - 25.0)
    assert places[:, 0].max() == pytest.approx(130 + 25.0)


def test_what_is_followed_ends_where_the_image_ends() -> None:
    assert added(dabs((20.0, 60.0, 100.0)))[:, 0].min() >= 0.0


def test_another_structure_s_stroke_ahead_is_met_halfway() -> None:
    places = added(joined(dabs((70.0, 90.0, 130.0)), dabs((142.0,), STEM)))
    assert 130.0 < places[:, 0].max() <= 136.0


def test_a_background_dab_on_the_axis_stops_it_and_a_ring_around_it_does_not() -> None:
    stopped = added(joined(dabs((70.0, 90.0, 130.0)), dabs((140.0,), BACKGROUND)))
    assert stopped[:, 0].max() <= 135.0
    ring = centre(140.0) + np.array([[0, 12, 0], [0, -12, 0], [0, 0, 12], [0, 0, -12]])
    around = ScribblePoints(ring, np.full(4, BACKGROUND, np.uint8))
    assert added(joined(dabs((70.0, 90.0, 130.0)), around))[:, 0].max() > 150.0


def test_a_short_structure_is_left_as_it_was_painted() -> None:
    assert len(added(dabs((80.0, 90.0, 100.0)))) == 0


def test_a_wide_structure_is_not_a_long_one() -> None:
    wide = np.concatenate([centre(z) + np.array([[0, 0, -20], [0, 0, 20]]) for z in (70.0, 100.0, 130.0)])
    assert not is_tubular(wide, SETTINGS)
    assert is_tubular(dabs((70.0, 100.0, 130.0)).positions, SETTINGS)


def test_a_structure_that_is_lost_is_not_followed_further() -> None:
    image = spine()
    torn = image.array.copy()
    torn[56:] = np.random.default_rng(1).normal(0.5, 0.2, torn[56:].shape)
    points = dabs((70.0, 90.0, 130.0))
    followed = track_tubular(points, STRUCTURES, image.with_array(torn), image, SETTINGS)
    assert followed.positions[len(points) :, 0].max() < 56 * SPACING[0]


def test_without_it_the_strokes_stay_as_they_are() -> None:
    points = dabs((70.0, 90.0, 130.0))
    image = spine()
    assert track_tubular(points, STRUCTURES, image, image, TrackingSettings(enabled=False)) is points
