"""Scribbles on a part of the support's grid, or on a finer one, are those of the support."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import bounding_box, cropped
from OneShotSegLib.imaging.labelmaps import read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.runner.supports import read_supports
from OneShotSegLib.runner.warning_events import collected_warnings
from OneShotSegLib.study.description import fingerprint_of_support
from Testing.helpers.tiny_batch import TinyBatch


def test_a_crop_is_the_same_support(tiny: TinyBatch, tmp_path: Path) -> None:
    whole = read_label_map(tiny.files.scribbles)
    box = bounding_box(whole.volume.array > 0)
    assert box is not None
    part = cropped(whole.volume, box)
    assert part.shape != whole.volume.shape
    backwards = Volume.create(
        part.array[:, ::-1], part.spacing, part.to_world((0, part.shape[1] - 1, 0)), part.direction * (1, -1, 1)
    )
    write_label_map(whole.with_volume(backwards), tmp_path / "part.seg.nrrd")
    with collected_warnings() as said:
        (found,) = read_supports(tiny.request(tmp_path / "study", scribbles=[tmp_path / "part.seg.nrrd"]))
    assert not said
    assert fingerprint_of_support(found.ct, found.scribbles) == fingerprint_of_support(found.ct, whole)


def test_a_shift_of_some_micrometres_is_said(tiny: TinyBatch, tmp_path: Path) -> None:
    whole = read_label_map(tiny.files.scribbles)
    grid = whole.volume
    moved = Volume.create(grid.array, grid.spacing, grid.origin + 0.004, grid.direction)
    write_label_map(whole.with_volume(moved), tmp_path / "moved.seg.nrrd")
    with collected_warnings() as said:
        (found,) = read_supports(tiny.request(tmp_path / "study", scribbles=[tmp_path / "moved.seg.nrrd"]))
    np.testing.assert_array_equal(found.scribbles.volume.array, grid.array)
    assert len(said) == 1
    assert "0.0069 mm beside the CT's voxels" in said[0]


def test_scribbles_of_another_ct_are_refused(tiny: TinyBatch, tmp_path: Path) -> None:
    whole = read_label_map(tiny.files.scribbles)
    grid = whole.volume
    far = Volume.create(grid.array, grid.spacing, grid.origin + 3 * grid.spacing, grid.direction)
    write_label_map(whole.with_volume(far), tmp_path / "far.seg.nrrd")
    with pytest.raises(InputError, match="Expected scribbles on the support's grid"):
        read_supports(tiny.request(tmp_path / "study", scribbles=[tmp_path / "far.seg.nrrd"]))
