"""CTs on their way to the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from OneShotSegLib.browser import images
from OneShotSegLib.browser.children import Children
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.volume import Volume


def head(shape: tuple[int, int, int]) -> Volume:
    """A body within air, whose voxels all differ from their neighbours."""
    array = np.full(shape, -1000, np.int16)
    inner = tuple(slice(size // 4, size - size // 4) for size in shape)
    array[inner] = np.random.default_rng(0).integers(0, 200, array[inner].shape)
    return Volume.create(array, (2.0, 1.0, 1.5), (-30.0, 10.0, 5.0))


def test_a_large_ct_comes_cropped_and_in_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "LARGE_VOXELS", 30_000)
    monkeypatch.setattr(images, "COARSE_VOXELS", 12_000)
    monkeypatch.setattr(images, "MARGIN_VOXELS", 2)
    ct = head((60, 64, 80))
    write_volume(ct, tmp_path / "ct.nii.gz")
    store = images.Images(tmp_path / "sent", Children())
    sent = store.image(tmp_path / "ct.nii.gz")
    described = sent.as_json()
    assert described["shape"] == [60, 64, 80]
    assert [step["every"] for step in described["steps"]] == [2, 1]
    coarse, full = (read_volume(store.file(sent.key, step.name)) for step in sent.steps)
    assert full.array.size < ct.array.size / 2
    assert coarse.array.size <= 12_000
    part = ct.array[sent.box]
    assert np.array_equal(full.array, part)
    assert np.array_equal(coarse.array, part[::2, ::2, ::2])
    for volume, every in ((coarse, 2), (full, 1)):
        start = np.array(described["start"])
        last = np.array(volume.shape) - 1
        assert np.allclose(volume.to_world((0, 0, 0)), ct.to_world(start))
        assert np.allclose(volume.to_world(last), ct.to_world(start + every * last))
    assert (ct.array > -1000).sum() == (full.array > -1000).sum()  # nothing of the body is left out
    box = (slice(3, 50), slice(0, 64), slice(10, 80))
    assert np.array_equal(store.hounsfield(tmp_path / "ct.nii.gz", "", box), ct.array[box])  # what was cropped is air
    store.close()
    assert not (tmp_path / "sent").exists()


def test_a_small_ct_comes_whole(tmp_path: Path) -> None:
    ct = head((12, 16, 20))
    write_volume(ct, tmp_path / "ct.nii.gz")
    store = images.Images(tmp_path / "sent", Children())
    sent = store.image(tmp_path / "ct.nii.gz")
    assert [step.every for step in sent.steps] == [1]
    assert np.array_equal(read_volume(store.file(sent.key, "full")).array, ct.array)
    store.close()


@pytest.mark.parametrize("direction", [np.eye(3), [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]])
def test_what_is_sent_is_where_the_ct_is(tmp_path: Path, direction: ArrayLike) -> None:
    array = np.random.default_rng(1).normal(0, 300, (6, 7, 9)).astype(np.float32)
    ct = Volume.create(array, (3.0, 0.9, 0.7), (-31.5, 12.25, 5.0), direction)
    write_volume(ct, tmp_path / "ct.nii.gz")
    store = images.Images(tmp_path / "sent", Children())
    found = read_volume(store.file(store.image(tmp_path / "ct.nii.gz").key, "full"))
    assert np.array_equal(found.array, np.rint(array))
    corners = [(0, 0, 0), (5, 0, 0), (0, 6, 0), (0, 0, 8)]
    assert np.allclose(found.to_world(corners), ct.to_world(corners), atol=1e-3)
    assert np.allclose(found.spacing, ct.spacing)
    store.close()


def test_a_ct_is_made_once_and_anew_when_its_file_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def counted(source: Path, series: str) -> Volume:
        read.append(source)
        return read_volume(source, series)

    monkeypatch.setattr(images, "read_case_ct", counted)
    write_volume(head((8, 8, 8)), tmp_path / "ct.nii.gz")
    store = images.Images(tmp_path / "sent", Children())
    first = store.image(tmp_path / "ct.nii.gz")
    assert store.image(tmp_path / "ct.nii.gz") is first
    write_volume(head((8, 8, 9)), tmp_path / "ct.nii.gz")
    assert store.image(tmp_path / "ct.nii.gz").key != first.key
    assert len(read) == 2
    store.close()


def test_old_ones_are_forgotten_and_unknown_ones_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "KEPT", 2)
    store = images.Images(tmp_path / "sent", Children())
    keys = []
    for number in range(4):
        write_volume(head((8, 8, 8 + number)), tmp_path / f"{number}.nii.gz")
        keys.append(store.image(tmp_path / f"{number}.nii.gz").key)
    with pytest.raises(InputError, match="load the case again"):
        store.file(keys[0], "full")
    with pytest.raises(InputError, match="load the case again"):
        store.file(keys[3], "../full")
    assert store.file(keys[3], "full").is_file()
    store.close()


def test_a_ct_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    store = images.Images(tmp_path / "sent", Children())
    with pytest.raises(InputError):
        store.image(tmp_path / "ct.nii.gz")
    write_volume(head((8, 8, 8)), tmp_path / "ct.nii.gz")
    assert store.image(tmp_path / "ct.nii.gz").steps
    store.close()
