"""A support's own mask, as it is seen while it is scribbled: what the propagation starts from, within a second."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from OneShotSegLib import phantom
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.own_mask import OwnMaskSettings, SupportPreview
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.support import prepare_support
from OneShotSegLib.networks.weights import load_weights, resolve_weights

Scribbled = tuple[Volume, LabelMap]


@pytest.fixture(scope="module")
def scribbled() -> Scribbled:
    case = next(iter(phantom.make_cohort(1, coarseness=2.0)))
    return case.ct, LabelMap(phantom.scribbles(case), (*case.present, phantom.BACKGROUND))


def test_its_settings_are_those_of_the_method() -> None:
    settings = OwnMaskSettings()
    assert settings.expansion == DEFAULT.expansion
    assert settings.tracking == DEFAULT.tracking
    assert settings.smooth_mm == DEFAULT.smooth_mm
    assert settings.window == load_weights(resolve_weights("phantom")).fine.info.window


def test_it_is_the_mask_that_the_propagation_starts_from(scribbled: Scribbled) -> None:
    ct, scribbles = scribbled
    preview = SupportPreview(ct)
    found = preview.whole(preview.grow(scribbles))
    support = prepare_support(ct, scribbles, load_weights(resolve_weights("phantom")), DEFAULT)
    wanted = resample_labels(support.expansion.soft, ct, DEFAULT.smooth_mm).array
    assert (found.volume.array != wanted).mean() < 1e-5
    assert [segment.name for segment in found.segments] == [s.name for s in support.structures.foreground]


def test_structures_without_strokes_are_left_out_and_named(scribbled: Scribbled) -> None:
    ct, scribbles = scribbled
    first = next(segment for segment in scribbles.segments if not segment.is_background_stroke)
    array = np.where(scribbles.volume.array == first.value, 0, scribbles.volume.array).astype(np.uint8)
    found = SupportPreview(ct).grow(scribbles.with_volume(ct.with_array(array)))
    assert found.without_strokes == (first.name,)
    assert first.value not in found.labels
    assert first not in found.segments


def test_without_background_strokes_or_on_another_grid_it_is_refused(scribbled: Scribbled) -> None:
    ct, scribbles = scribbled
    preview = SupportPreview(ct)
    background = next(segment for segment in scribbles.segments if segment.is_background_stroke)
    array = np.where(scribbles.volume.array == background.value, 0, scribbles.volume.array).astype(np.uint8)
    with pytest.raises(InputError, match="background stroke"):
        preview.grow(scribbles.with_volume(ct.with_array(array)))
    with pytest.raises(InputError, match="background stroke"):
        preview.grow(scribbles.with_volume(ct.with_array(np.zeros_like(array))))
    with pytest.raises(InputError, match="grid"):
        preview.grow(scribbles.with_volume(replace(scribbles.volume, origin=ct.origin + 50)))


@pytest.mark.parametrize("module", ["method.own_mask", "method.regrowth", "worker.server"])
def test_it_starts_without_pytorch(module: str) -> None:
    code = f"import sys, OneShotSegLib.{module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_client_imports_the_standard_library_alone() -> None:
    code = (
        "import sys, OneShotSegLib.worker.client; "
        "sys.exit(bool({'torch', 'scipy', 'numpy', 'numba', 'SimpleITK'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
