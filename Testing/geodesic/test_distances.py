"""Geodesic distances against independent references: Dijkstra of SciPy, GeodisTK's raster scan written out slowly."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from OneShotSegLib.geodesic import (
    FastGeodisCost,
    GeodisTKCost,
    IntensityCost,
    StepCost,
    class_distances,
    geodesic_distances,
    nearest_two,
    raster_scan_distance,
    with_neighbours,
)

SPACING = (3.0, 0.8, 1.1)
SHAPE = (5, 21, 18)
COSTS: list[StepCost] = [
    IntensityCost(),
    IntensityCost(intensity_weight=2.0, spatial_weight=0.05),
    GeodisTKCost(),
    GeodisTKCost(lamb=0.7),
    GeodisTKCost(lamb=0.0),
    FastGeodisCost(),
    FastGeodisCost(lamb=0.4),
]
STEPS = [np.array(s) for s in itertools.product((-1, 0, 1), repeat=3) if s != (0, 0, 0)]


def step_price(cost: StepCost, mm: float, difference: NDArray[Any]) -> NDArray[Any]:
    """The published formulas, written independently of the coefficients that the kernels use."""
    channels = np.atleast_2d(difference)
    norm = np.sqrt((channels**2).sum(axis=0))
    if isinstance(cost, GeodisTKCost):
        return mm / ((1 - cost.lamb) + cost.lamb / (norm + 1e-5))
    if isinstance(cost, FastGeodisCost):
        return (1 - cost.lamb) * mm + cost.lamb * np.abs(channels).sum(axis=0)
    assert isinstance(cost, IntensityCost)
    return cost.intensity_weight * norm + cost.spatial_weight * mm


def dijkstra_per_class(
    image: NDArray[Any],
    seeds: NDArray[Any],
    spacing: Sequence[float],
    cost: StepCost,
    region: NDArray[np.bool_] | None = None,
    start_costs: Mapping[int, float] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Distance of each class: labels (N,) and distances (N, D, H, W)."""
    channels = np.asarray(image, np.float64).reshape(-1, *seeds.shape)
    inside = np.ones(seeds.shape, bool) if region is None else region
    index = np.arange(seeds.size).reshape(seeds.shape)
    rows, columns, prices = [], [], []
    for step in STEPS:
        source = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(step, seeds.shape, strict=True))
        target = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(step, seeds.shape, strict=True))
        both = inside[source] & inside[target]
        difference = (channels[(slice(None), *source)] - channels[(slice(None), *target)])[:, both]
        price = step_price(cost, float(np.linalg.norm(step * np.asarray(spacing))), difference)
        rows.append(index[source][both])
        columns.append(index[target][both])
        prices.append(np.maximum(price, 1e-30))  # a stored 0 would mean "no edge"
    labels = np.unique(seeds[(seeds > 0) & inside])
    starts = [(start_costs or {}).get(int(label), 0.0) for label in labels]
    for number, (label, start) in enumerate(zip(labels, starts, strict=True)):
        sources = index[(seeds == label) & inside]
        rows.append(np.full(sources.size, seeds.size + number))
        columns.append(sources)
        prices.append(np.full(sources.size, max(start, 1e-30)))
    size = seeds.size + labels.size
    graph = coo_matrix((np.concatenate(prices), (np.concatenate(rows), np.concatenate(columns))), (size, size)).tocsr()
    found = dijkstra(graph, indices=np.arange(seeds.size, size))[:, : seeds.size]
    return labels, found.reshape(-1, *seeds.shape)


def slow_raster_scan(
    image: NDArray[Any], mask: NDArray[Any], spacing: Sequence[float], lamb: float, iterations: int
) -> NDArray[Any]:
    """GeodisTK 0.1.7's geodesic3d_raster_scan, statement by statement, in float32 where it uses float."""
    f = np.float32
    dd = [-1, -1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 1]
    dh = [-1, -1, -1, 0, 0, -1, -1, -1, 0, -1, -1, -1, 0]
    dw = [-1, 0, 1, -1, 0, -1, 0, 1, -1, -1, 0, 1, -1]
    forward = list(zip(dd, dh, dw, strict=True))
    backward = [(-a, -b, -c) for a, b, c in forward]
    channels = image.reshape(-1, *mask.shape).astype(f)
    distance = np.where(mask > 0, f(0), f(1e10)).astype(f)
    voxels = list(np.ndindex(mask.shape))
    squares: list[Any] = [f(s) * f(s) for s in spacing]
    for _ in range(iterations):
        for order, half in ((voxels, forward), (voxels[::-1], backward)):
            for p in order:
                for step in half:
                    q = tuple(a + b for a, b in zip(p, step, strict=True))
                    if any(a < 0 or a >= n for a, n in zip(q, mask.shape, strict=True)):
                        continue
                    gap = np.sqrt(((channels[(slice(None), *p)] - channels[(slice(None), *q)]) ** 2).sum(dtype=f))
                    length = np.sqrt(sum((sq for sq, s in zip(squares, step, strict=True) if s), start=f(0)))
                    speed = f((1.0 - float(f(lamb))) + float(f(lamb)) / (float(gap) + 1e-5))
                    distance[p] = np.minimum(distance[p], f(distance[q] + f(length / speed)))
    return distance


def noisy(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.random(shape).astype(np.float32)


def scattered(seed: int = 0, classes: int = 3, each: int = 4, shape: tuple[int, ...] = SHAPE) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    places = rng.choice(labels.size, classes * each, replace=False)
    labels.reshape(-1)[places] = np.repeat(np.arange(1, classes + 1), each)
    return labels


def assert_same_distance(found: NDArray[Any], expected: NDArray[Any]) -> None:
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
    finite = np.isfinite(expected)
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-5, atol=1e-5)


def assert_nearest(label: NDArray[Any], labels: NDArray[Any], expected: NDArray[Any]) -> None:
    """The label is one of those that are nearest to within rounding."""
    nearest = expected.min(axis=0)
    for value, distance in zip(labels, expected, strict=True):
        chosen = label == value
        np.testing.assert_allclose(distance[chosen], nearest[chosen], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(label == 0, ~np.isfinite(nearest))


@pytest.mark.parametrize("cost", COSTS, ids=repr)
def test_distance_and_label_equal_dijkstra_for_every_cost(cost: StepCost) -> None:
    image, seeds = noisy(), scattered()
    labels, expected = dijkstra_per_class(image, seeds, SPACING, cost)
    found = geodesic_distances(image, seeds, SPACING, cost)
    assert found.distance.dtype == np.float32
    assert_same_distance(found.distance, expected.min(axis=0))
    assert_nearest(found.label, labels, expected)


@pytest.mark.parametrize("cost", [IntensityCost(), GeodisTKCost(), GeodisTKCost(0.5), FastGeodisCost(0.5)], ids=repr)
def test_several_channels_equal_dijkstra(cost: StepCost) -> None:
    image, seeds = noisy(shape=(3, *SHAPE)), scattered()
    labels, expected = dijkstra_per_class(image, seeds, SPACING, cost)
    found = geodesic_distances(image, seeds, SPACING, cost)
    assert_same_distance(found.distance, expected.min(axis=0))
    assert_nearest(found.label, labels, expected)


def test_paths_stay_inside_the_region_and_seeds_outside_it_do_not_count() -> None:
    image, seeds = noisy(1), scattered(1, each=9)
    region = np.random.default_rng(5).random(SHAPE) < 0.4
    region[:, :3] = False
    assert (seeds[~region] > 0).any()
    labels, expected = dijkstra_per_class(image, seeds, SPACING, IntensityCost(), region)
    found = geodesic_distances(image, seeds, SPACING, region=region)
    assert_same_distance(found.distance, expected.min(axis=0))
    assert_nearest(found.label, labels, expected)
    assert np.isinf(found.distance[~region]).all()
    assert not found.label[~region].any()


def test_beyond_the_limit_nothing_is_reached_and_within_it_nothing_changes() -> None:
    image, seeds = noisy(2), scattered(2, each=1)
    whole = geodesic_distances(image, seeds, SPACING)
    limit = float(np.median(whole.distance))
    found = geodesic_distances(image, seeds, SPACING, limit=limit)
    near = whole.distance <= limit
    np.testing.assert_array_equal(found.distance, np.where(near, whole.distance, np.inf))
    np.testing.assert_array_equal(found.label, np.where(near, whole.label, 0))


def test_a_limit_of_zero_keeps_the_seeds_alone() -> None:
    seeds = scattered()
    found = geodesic_distances(noisy(), seeds, SPACING, limit=0)
    np.testing.assert_array_equal(found.label, seeds)


def test_distances_to_each_class_equal_dijkstra() -> None:
    image, seeds = noisy(3), scattered(3)
    labels, expected = dijkstra_per_class(image, seeds, SPACING, GeodisTKCost())
    found = class_distances(image, seeds, SPACING, GeodisTKCost())
    np.testing.assert_array_equal(found.labels, labels)
    assert_same_distance(found.distance, expected)


def test_the_nearest_two_classes_are_the_two_smallest_class_distances() -> None:
    image, seeds = noisy(4), scattered(4, classes=5)
    each = class_distances(image, seeds, SPACING, limit=1.0)
    order = np.sort(each.distance, axis=0)
    found = nearest_two(image, seeds, SPACING, limit=1.0)
    single = geodesic_distances(image, seeds, SPACING, limit=1.0)
    np.testing.assert_array_equal(found.distance, order[0])
    np.testing.assert_array_equal(found.second_distance, order[1])
    np.testing.assert_array_equal(found.distance, single.distance)
    np.testing.assert_array_equal(found.label, single.label)
    two = found.second_label > 0
    np.testing.assert_array_equal(two, np.isfinite(order[1]))
    assert (found.label != found.second_label)[two].all()
    picked = np.take_along_axis(each.distance, np.maximum(found.second_label.astype(int) - 1, 0)[None], axis=0)[0]
    np.testing.assert_array_equal(picked[two], order[1][two])


@pytest.mark.parametrize("start_costs", [None, {1: 0.3, 2: 0.05}])
@pytest.mark.parametrize("spatial", [0.0, 0.005, 0.1])
def test_the_nearest_two_are_the_same_however_many_classes_start_late(spatial: float, start_costs: Any) -> None:
    image, seeds = noisy(6), scattered(6, classes=7)
    region = np.random.default_rng(6).random(seeds.shape) < 0.9
    cost = IntensityCost(1.0, spatial)
    each = class_distances(image, seeds, SPACING, cost, region=region, start_costs=start_costs)
    order = np.sort(each.distance, axis=0)
    found = nearest_two(image, seeds, SPACING, cost, region=region, start_costs=start_costs)
    np.testing.assert_array_equal(found.distance, order[0])
    np.testing.assert_array_equal(found.second_distance, order[1])
    assert (found.label != found.second_label)[region].all()


def test_of_two_classes_that_are_equally_near_the_lower_one_is_the_nearest() -> None:
    seeds = np.zeros((1, 1, 7), np.uint8)
    seeds[0, 0, [0, 6]] = 5, 2
    found = nearest_two(np.zeros(seeds.shape, np.float32), seeds, (1.0, 1.0, 1.0), IntensityCost(1.0, 1.0))
    np.testing.assert_array_equal(found.label[0, 0], [5, 5, 5, 2, 2, 2, 2])
    np.testing.assert_array_equal(found.second_label[0, 0], [2, 2, 2, 5, 5, 5, 5])


def test_a_mask_with_its_neighbours_reaches_no_further() -> None:
    mask = np.zeros((4, 5, 6), bool)
    mask[0, 2, 3] = mask[3, 4, 5] = True
    np.testing.assert_array_equal(with_neighbours(mask), binary_dilation(mask, np.ones((3, 3, 3))))


def test_start_costs_delay_a_class() -> None:
    image, seeds, starts = noisy(5), scattered(5), {1: 0.4, 3: 0.15}
    labels, expected = dijkstra_per_class(image, seeds, SPACING, IntensityCost(), start_costs=starts)
    found = geodesic_distances(image, seeds, SPACING, start_costs=starts)
    assert_same_distance(found.distance, expected.min(axis=0))
    assert_nearest(found.label, labels, expected)


def test_in_a_tie_one_of_the_nearest_labels_wins_and_every_run_agrees() -> None:
    seeds = np.zeros((1, 1, 9), np.uint8)
    seeds[0, 0, 0], seeds[0, 0, 8] = 7, 3
    runs = [geodesic_distances(np.zeros((1, 1, 9)), seeds, (1, 1, 1), IntensityCost(1.0, 1.0)) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].distance[0, 0], [0, 1, 2, 3, 4, 3, 2, 1, 0])
    np.testing.assert_array_equal(np.delete(runs[0].label[0, 0], 4), [7, 7, 7, 7, 3, 3, 3, 3])
    np.testing.assert_array_equal(runs[0].label, runs[1].label)


def test_where_steps_cost_nothing_every_voxel_is_reached_for_nothing() -> None:
    found = geodesic_distances(np.zeros(SHAPE, np.float32), scattered(6), SPACING, FastGeodisCost())
    assert not found.distance.any()
    assert found.label.all()


def test_renaming_the_labels_renames_the_result() -> None:
    image, seeds = noisy(7), scattered(7)
    names = np.array([0, 9, 2, 200], np.uint8)
    plain = geodesic_distances(image, seeds, SPACING)
    renamed = geodesic_distances(image, names[seeds], SPACING)
    np.testing.assert_array_equal(renamed.distance, plain.distance)
    np.testing.assert_array_equal(renamed.label, names[plain.label])


@pytest.mark.parametrize("count", [1, 33])
def test_a_class_with_1_or_33_voxels_takes_part(count: int) -> None:
    seeds = np.zeros(SHAPE, np.uint8)
    seeds.reshape(-1)[np.arange(count) * 40] = 1
    seeds[-1, -1, -1] = 2
    found = geodesic_distances(noisy(8), seeds, SPACING)
    assert (found.distance[seeds > 0] == 0).all()
    assert (found.label[seeds == 1] == 1).all()


@pytest.mark.parametrize("region", [None, np.zeros(SHAPE, bool)], ids=["no seeds", "empty region"])
def test_without_seeds_nothing_is_reached(region: NDArray[Any] | None) -> None:
    seeds = np.zeros(SHAPE, np.uint8) if region is None else scattered()
    found = geodesic_distances(noisy(), seeds, SPACING, region=region)
    assert np.isinf(found.distance).all()
    assert not found.label.any()
    assert class_distances(noisy(), seeds, SPACING, region=region).distance.shape == (0, *SHAPE)
    two = nearest_two(noisy(), seeds, SPACING, region=region)
    assert np.isinf(two.distance).all()
    assert np.isinf(two.second_distance).all()


def test_layout_and_type_of_the_input_do_not_matter() -> None:
    image, seeds = noisy(9), scattered(9)
    expected = geodesic_distances(image, seeds, SPACING)
    strange = np.asfortranarray(image.astype(np.float64))
    sparse = np.zeros((*SHAPE[:2], 2 * SHAPE[2]), np.int64)
    sparse[..., ::2] = seeds
    found = geodesic_distances(strange, sparse[..., ::2], list(SPACING))
    np.testing.assert_array_equal(found.distance, expected.distance)
    np.testing.assert_array_equal(found.label, expected.label)


def test_the_input_is_left_as_it_was() -> None:
    image, seeds = noisy(), scattered()
    image[0, 0, 0] = np.nan
    before = image.copy(), seeds.copy()
    geodesic_distances(image, seeds, SPACING)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(seeds, before[1])


def test_voxels_that_are_not_finite_are_never_entered() -> None:
    image, seeds = noisy(10), scattered(10)
    image[:, 10] = np.nan
    image[:, 11, ::2] = np.inf
    expected = geodesic_distances(noisy(10), seeds, SPACING, region=np.isfinite(image))
    found = geodesic_distances(image, seeds, SPACING)
    np.testing.assert_array_equal(found.distance, expected.distance)


def test_a_path_that_winds_through_many_blocks_is_followed_to_its_end() -> None:
    shape = (3, 37, 50)
    region = np.ones(shape, bool)
    region[:, 1::4, :-1] = region[:, 3::4, 1:] = False
    seeds = np.zeros(shape, np.uint8)
    seeds[0, 0, 0] = 1
    image = noisy(14, shape)
    _, expected = dijkstra_per_class(image, seeds, SPACING, IntensityCost(), region)
    assert np.isfinite(expected[0][region]).all()
    assert_same_distance(geodesic_distances(image, seeds, SPACING, region=region).distance, expected[0])


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_small_volume_equals_dijkstra(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 20), min_size=3, max_size=3), label="shape"))
    spacing = data.draw(st.lists(st.floats(0.3, 6), min_size=3, max_size=3), label="spacing")
    cost: StepCost = data.draw(st.sampled_from(COSTS), label="cost")
    rng = np.random.default_rng(data.draw(st.integers(0, 999), label="seed"))
    levels = data.draw(st.sampled_from([1, 2, 5, 1000]), label="levels")
    image = (rng.integers(0, levels, shape) / levels).astype(np.float32)
    seeds = rng.integers(1, 5, shape) * (rng.random(shape) < 0.02)
    region = rng.random(shape) < data.draw(st.sampled_from([0.3, 0.7, 1.0]), label="filled")
    labels, expected = dijkstra_per_class(image, seeds, spacing, cost, region)
    found = geodesic_distances(image, seeds, spacing, cost, region=region)
    nearest = expected.min(axis=0) if labels.size else np.full(shape, np.inf)
    assert_same_distance(found.distance, nearest)
    if labels.size:
        assert_nearest(found.label, labels, expected)


@pytest.mark.parametrize("lamb", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("iterations", [1, 2])
def test_the_raster_scan_has_geodistks_values(lamb: float, iterations: int) -> None:
    shape = (4, 9, 8)
    image, mask = noisy(11, shape), np.zeros(shape, np.uint8)
    mask[2, 5, 4] = mask[0, 1, 7] = 1
    expected = slow_raster_scan(image, mask, SPACING, lamb, iterations)
    np.testing.assert_array_equal(raster_scan_distance(image, mask, SPACING, iterations, lamb), expected)


def test_the_raster_scan_takes_several_channels() -> None:
    shape = (3, 6, 5)
    image, mask = noisy(12, (2, *shape)), np.zeros(shape, np.uint8)
    mask[1, 2, 3] = 1
    expected = slow_raster_scan(image, mask, SPACING, 1.0, 2)
    np.testing.assert_allclose(raster_scan_distance(image, mask, SPACING), expected, rtol=1e-6)


def test_the_raster_scan_converges_to_the_exact_distance() -> None:
    image, seeds = noisy(13), scattered(13)
    exact = geodesic_distances(image, seeds, SPACING, GeodisTKCost()).distance
    np.testing.assert_allclose(raster_scan_distance(image, seeds > 0, SPACING, 60), exact, rtol=1e-5, atol=1e-6)
    assert (raster_scan_distance(image, seeds > 0, SPACING, 1) > exact * 1.001).any()


def test_the_raster_scan_without_seeds_is_far_everywhere() -> None:
    assert (raster_scan_distance(noisy(), np.zeros(SHAPE), SPACING) == np.float32(1e10)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((4, 4))}, "image must hold"),
        ({"image": np.zeros(SHAPE, complex)}, "image must hold"),
        ({"seeds": np.zeros((1, 2, 3), int)}, "seeds must have the image's grid"),
        ({"seeds": np.zeros(SHAPE)}, "label map of integers"),
        ({"seeds": np.full(SHAPE, -1)}, "label map of integers"),
        ({"spacing": (1.0, 0.0, 1.0)}, "spacing must be three positive"),
        ({"spacing": (1.0, 1.0)}, "spacing must be three positive"),
        ({"region": np.ones((2, 2, 2), bool)}, "region must have the image's grid"),
        ({"limit": -1.0}, "limit must be"),
        ({"limit": float("nan")}, "limit must be"),
        ({"start_costs": {1: -0.5}}, "start_costs must be"),
    ],
)
def test_a_wrong_argument_is_named(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"image": noisy(), "seeds": scattered(), "spacing": SPACING} | change
    with pytest.raises(ValueError, match=message):
        geodesic_distances(**arguments)


def test_a_cost_with_a_weight_out_of_range_is_refused() -> None:
    for make in (lambda: IntensityCost(-1.0), lambda: GeodisTKCost(1.5), lambda: FastGeodisCost(float("nan"))):
        with pytest.raises(ValueError, match="must be a finite number"):
            make()
