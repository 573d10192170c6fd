"""shares.nrrd holds what it was given, and is read with the same grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.shares import read_shares, write_shares


def soft() -> SoftLabels:
    random = np.random.default_rng(0)
    labels, second = np.zeros((12, 30, 20), np.uint8), np.zeros((12, 30, 20), np.uint8)
    labels[4:7, 10:20, 8:12] = 3
    second[4:8, 9:21, 7:13] = 200
    shares = random.uniform(0.5, 1, labels.shape).astype(np.float32)
    return SoftLabels(Volume.create(labels, (2, 2, 2), (-7.0, 3.0, 11.0)), second, shares)


def test_shares_come_back_to_half_a_per_cent_on_their_grid(tmp_path: Path) -> None:
    given = soft()
    write_shares(given, tmp_path / "shares.nrrd")
    found = read_shares(tmp_path / "shares.nrrd")
    assert found is not None
    corner = np.rint(given.labels.to_index(found.labels.origin)).astype(int)
    box = tuple(slice(a, a + n) for a, n in zip(corner, found.labels.shape, strict=True))
    np.testing.assert_allclose(given.labels.to_world(corner), found.labels.origin)
    np.testing.assert_array_equal(found.labels.array, given.labels.array[box])
    np.testing.assert_array_equal(found.second_labels, given.second_labels[box])
    np.testing.assert_allclose(found.shares, given.shares[box], atol=0.00501)
    outside = np.ones(given.labels.shape, bool)
    outside[box] = False
    assert outside.any()
    assert not given.labels.array[outside].any()


def test_a_mask_without_structures_has_shares_too(tmp_path: Path) -> None:
    write_shares(SoftLabels.hard(Volume.create(np.zeros((4, 5, 6), np.uint8))), tmp_path / "shares.nrrd")
    found = read_shares(tmp_path / "shares.nrrd")
    assert found is not None
    assert not found.labels.array.any()


def test_no_file_is_none_and_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shares.nrrd"
    assert read_shares(path) is None
    write_volume(Volume.create(np.zeros((4, 5, 6), np.uint8)), path)
    with pytest.raises(InputError, match="expected three whole numbers per voxel"):
        read_shares(path)
    path.write_bytes(b"NRRD0004 and no more")
    with pytest.raises(InputError):
        read_shares(path)
