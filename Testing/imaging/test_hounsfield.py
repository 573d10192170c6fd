"""CTs whose values are no HU are mended and said, or refused; plain ones pass without a word."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.hounsfield import as_hounsfield, examine_hounsfield
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.phantom import make_patient
from Testing.helpers.intensity_damage import DAMAGES, Damage, body_scaled, outside_body, outside_circle

Make = Callable[[], NDArray[Any]]
REFUSED = (
    *("slope", "slope and offset", "slope, padded circle", "slope, 0 beside the image"),
    *("8-bit window", "clipped", "constant", "normalised"),
)
NO_CT = ("another modality", "inverted")


@cache
def scanner_ct() -> np.ndarray:
    """Measured air around the body."""
    return make_patient(0, coarseness=3.0).ct.array


@cache
def masked_ct() -> np.ndarray:
    """-1024 around the body, as in planning CTs."""
    return np.where(outside_body(scanner_ct()), -1024, scanner_ct()).astype(np.int16)


@cache
def clipped_ct() -> np.ndarray:
    """An export of -125..275 HU in 256 steps, its lower end set to -1000."""
    steps = np.round((np.clip(scanner_ct(), -125, 275) + 125) / 400 * 255)
    return np.where(steps == 0, -1000, np.round(steps / 255 * 400 - 125)).astype(np.int16)


def lung() -> np.ndarray:
    """A box within a lung: parenchyma and a few vessels."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(0, 1, (40, 60, 60)), 1.5)
    density = -860 + 60 * rng.normal(0, 1, noise.shape)
    vessels = ndimage.gaussian_filter((noise > 0.15).astype(float), 0.5)
    return np.round(density * (1 - vessels) + 45 * vessels).astype(np.int16)


def with_metal() -> np.ndarray:
    hu = scanner_ct().copy()
    hu[20:24, 20:24, 18:22] = 3071
    return hu


PLAIN = {
    "scanner": scanner_ct,
    "masked": masked_ct,
    "clipped": clipped_ct,
    "lung": lung,
    "metal": with_metal,
    "float": lambda: scanner_ct().astype(np.float32),
    "third": lambda: masked_ct()[: len(masked_ct()) // 3],
    "padding -3024": lambda: np.where(outside_circle(scanner_ct()), -3024, scanner_ct()),
    "padding -2000": lambda: np.where(outside_circle(masked_ct()), -2000, masked_ct()),
    "big-endian": lambda: scanner_ct().astype(">i2"),
}


@pytest.mark.parametrize("make", PLAIN.values(), ids=PLAIN)
def test_plain_cts_pass_as_the_same_object_and_without_a_word(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    volume = Volume.create(make())
    assert as_hounsfield(volume, "scan") is volume
    assert not caplog.records


@pytest.mark.parametrize(
    "damage",
    [pytest.param(d, id=f"{kind}: {name}") for kind in (*REFUSED, *NO_CT) for name, d in DAMAGES[kind].items()],
)
@pytest.mark.parametrize("plain", [scanner_ct, masked_ct, clipped_ct])
def test_other_units_scales_and_modalities_are_refused_in_one_sentence(
    plain: Make, damage: Damage, request: pytest.FixtureRequest
) -> None:
    if any(text in request.node.name for text in ("clipped_ct-slope: 2", "clipped_ct-slope, padded circle: 2,")):
        pytest.skip("the phantom has too little fat to show a slope of 2 where no air was measured")
    with pytest.raises(InputError, match=r"^scan: expected a CT in HU.*, found .*\.$"):
        as_hounsfield(Volume.create(damage(plain())), "scan")


@pytest.mark.parametrize("padding", [None, -32768, -3024, -2000, -1024, -1000, -555])
@pytest.mark.parametrize(
    ("plain", "offset"), [(scanner_ct, 1024), (scanner_ct, 1000), (masked_ct, 1000), (clipped_ct, 1024)]
)
def test_an_offset_is_subtracted_where_the_air_tells_which_padding_or_not(
    plain: Make, offset: int, padding: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    hu = plain().astype(np.int32)
    circle = outside_circle(hu) & (padding is not None)
    mended = as_hounsfield(Volume.create(np.where(circle, padding or 0, hu + offset)), "scan").array
    assert np.array_equal(mended[~circle], hu[~circle])
    assert (mended[circle] == -1000).all()
    assert [r.getMessage() for r in caplog.records] == [f"scan: values lie {offset} above HU: {offset} was subtracted."]


@pytest.mark.parametrize("padding", [-2000, -1024])
@pytest.mark.parametrize(("plain", "offset"), [(masked_ct, 1024), (clipped_ct, 1000)])
def test_an_offset_that_could_be_1000_or_1024_is_refused(plain: Make, offset: int, padding: int) -> None:
    shifted = np.where(outside_circle(plain()), padding, plain() + offset)
    with pytest.raises(InputError, match=r"found soft tissue near 10.*rescale intercept"):
        as_hounsfield(Volume.create(shifted), "scan")


@pytest.mark.parametrize("kind", [np.int16, np.float32])
@pytest.mark.parametrize("where", [outside_body, outside_circle], ids=["masked", "circle"])
@pytest.mark.parametrize("value", [0, 100, -37])
@pytest.mark.parametrize("plain", [scanner_ct, masked_ct, clipped_ct])
def test_a_value_that_fills_the_image_around_the_body_becomes_air(
    plain: Make,
    value: int,
    where: Callable[[NDArray[Any]], NDArray[np.bool_]],
    kind: type[np.int16 | np.float32],
    caplog: pytest.LogCaptureFixture,
) -> None:
    hu = plain()
    fill = where(hu)
    mended = as_hounsfield(Volume.create(np.where(fill, value, hu).astype(kind)), "scan").array
    assert mended.dtype == kind
    assert (mended[fill] == -1000).all()
    # What is left of the body touches the fill with a voxel of that value here and there.
    assert np.count_nonzero(mended[~fill] != hu[~fill]) < 0.001 * hu.size
    assert f"the value {value} fills" in caplog.text


def test_nan_around_the_body_becomes_air_and_nan_within_it_is_refused() -> None:
    hu = scanner_ct().astype(np.float32)
    around = np.where(outside_body(hu), np.nan, hu)
    mended, notes = examine_hounsfield(Volume.create(around), "scan")
    assert np.isfinite(mended.array).all()
    assert "not numbers (NaN)" in notes[0]
    around[tuple(np.argwhere(ndimage.binary_erosion(hu > -100, iterations=3))[0])] = np.nan
    with pytest.raises(InputError, match="NaN"):
        examine_hounsfield(Volume.create(around), "scan")


def test_values_read_without_their_sign_are_mended() -> None:
    volume = Volume.create(scanner_ct().astype(np.uint16))
    assert np.array_equal(as_hounsfield(volume, "scan").array, scanner_ct())


def test_the_input_is_left_as_it_is() -> None:
    shifted = scanner_ct() + 1024
    before = shifted.copy()
    as_hounsfield(Volume.create(shifted), "scan")
    assert np.array_equal(shifted, before)


def test_what_was_mended_is_a_warning_of_the_package(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="OneShotSegLib"):
        as_hounsfield(Volume.create(scanner_ct() + 1024), "scan")
    assert [record.name.split(".")[0] for record in caplog.records] == ["OneShotSegLib"]


def test_drawings_of_boxes_pass() -> None:
    box = np.full((20, 20, 20), -1000, dtype=np.int16)
    box[5:15, 5:15, 5:15] = 40
    volume = Volume.create(box)
    assert as_hounsfield(volume, "scan") is volume


@pytest.mark.parametrize("slope", [0.1, 0.25])
@pytest.mark.parametrize("plain", [scanner_ct, masked_ct])
def test_a_map_in_air_of_one_value_is_refused_or_said(plain: Make, slope: float) -> None:
    try:
        notes = examine_hounsfield(Volume.create(body_scaled(slope)(plain())), "map")[1]
    except InputError:
        return
    assert any("nothing tells whether the values are HU" in note for note in notes)


@pytest.mark.parametrize("steps", [8, 12, 16, 24])
@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_a_ct_in_few_steps_is_refused_in_any_type(steps: int, kind: type) -> None:
    coarse = np.clip(np.floor(scanner_ct() / steps), -128, 127).astype(kind)
    with pytest.raises(InputError, match="expected a CT in HU"):
        as_hounsfield(Volume.create(coarse), "scan")
