"""Import of the authors' checkpoints: the same outputs, and no code run, whatever the file holds."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from OneShotSegLib.errors import InputError
from OneShotSegLib.networks.official_checkpoint import OfficialSettings, import_official, read_official
from OneShotSegLib.networks.weights import load_weights
from Testing.helpers.prnet_reference import official_state, reference

BASE, PATCH = 2, (16, 32, 32)
SMALL = OfficialSettings(patch_size=PATCH)


def as_saved(state: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What the authors' training saves: epoch, state_dict, best_loss (a NumPy scalar), Adam's state."""
    moments = {
        number: {"step": torch.tensor(3.0), "exp_avg": torch.zeros_like(v), "exp_avg_sq": torch.zeros_like(v)}
        for number, v in enumerate(state.values())
    }
    group = {"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-4, "params": list(range(len(state)))}
    content = {"epoch": 31, "state_dict": state, "best_loss": np.float32(201.25)}
    return {**content, "optimizer": {"state": moments, "param_groups": [group]}, **changes}


def save(path: Path, seed: int = 0, prefix: str = "", legacy: bool = False, **changes: Any) -> Path:
    state = {prefix + name: value for name, value in official_state(BASE, PATCH, seed).items()}
    torch.save(as_saved(state, **changes), path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.fixture
def coarse(tmp_path: Path) -> Path:
    return save(tmp_path / "PRNet_large_700.tar", 1, "module.")


@pytest.fixture
def fine(tmp_path: Path) -> Path:
    return save(tmp_path / "PRNet_small_60.tar", 2)


def sentence_of(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith((".", "?"))
    return text


def test_imported_checkpoints_give_the_outputs_of_the_official_networks(
    coarse: Path, fine: Path, tmp_path: Path
) -> None:
    import_official(coarse, fine, tmp_path / "weights", SMALL)
    weights = load_weights(tmp_path / "weights")
    patches = torch.rand(2, 1, *PATCH, generator=torch.Generator().manual_seed(0))
    for stage, seed in ((weights.coarse, 1), (weights.fine, 2)):
        with torch.inference_mode():
            wanted = reference(official_state(BASE, PATCH, seed), patches, as_published=True)
            levels = stage.network.level_features(patches)
            torch.testing.assert_close(stage.network.locate(patches), wanted["latent"], atol=1e-4, rtol=0)
        for level, features in zip((5, 6, 7, 8), levels, strict=True):
            torch.testing.assert_close(features, wanted[f"level{level}"], atol=1e-4, rtol=0)


def test_imported_checkpoints_say_where_they_come_from_and_how_to_use_them(
    coarse: Path, fine: Path, tmp_path: Path
) -> None:
    infos = import_official(coarse, fine, tmp_path / "weights", SMALL)
    weights = load_weights(tmp_path / "weights")
    assert (weights.coarse.info, weights.fine.info) == infos
    assert [info.stage for info in infos] == ["coarse", "fine"]
    assert infos[0].training == {"source": "official", "file": coarse.name, "epoch": 31, "best_loss": 201.25}
    assert infos[0].spacing == (3.0, 1.0, 1.0)
    assert (infos[0].position_range, infos[1].position_range) == ((700.0, 500.0, 500.0), (60.0, 60.0, 60.0))
    assert (infos[0].base_channels, infos[0].patch_size) == (BASE, PATCH)
    assert infos[0].official_wiring


def test_the_defaults_are_the_published_settings() -> None:
    published = OfficialSettings()
    assert published.patch_size == (48, 128, 128)
    assert published.window.hu == (-500, -100, 200, 1500)
    assert published.window.level == (0, 0.2, 0.8, 1)


@pytest.mark.parametrize("loss", [np.float32(1.5), np.float64(1.5), 1.5, np.float16(1.5)])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip file", "file of torch before 1.6"])
def test_every_form_of_the_best_loss_is_read(tmp_path: Path, loss: Any, legacy: bool) -> None:
    checkpoint = read_official(save(tmp_path / "a.tar", legacy=legacy, best_loss=loss))
    assert (checkpoint.best_loss, checkpoint.epoch) == (1.5, 31)
    assert set(checkpoint.state) == set(official_state(BASE, PATCH))


def rewrite_pickle(path: Path, old: bytes, new: bytes) -> None:
    """Change the pickle in a checkpoint (protocol 2 ends names by line breaks, so lengths are free)."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data.replace(old, new) if name.endswith("data.pkl") else data)


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_scalars_saved_under_either_numpy_are_read(tmp_path: Path, module: bytes) -> None:
    path = save(tmp_path / "a.tar")
    here = np.float32(0).__reduce__()[0].__module__.encode()
    rewrite_pickle(path, b"c" + here + b"\n", b"c" + module + b"\n")
    assert read_official(path).best_loss == 201.25


def test_nothing_is_left_allowed_after_reading(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    read_official(save(tmp_path / "a.tar"))
    assert set(torch.serialization.get_safe_globals()) == before


class Evil:
    """Runs a function when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("legacy", [False, True], ids=["zip file", "file of torch before 1.6"])
@pytest.mark.parametrize("place", ["best_loss", "epoch", "optimizer", "state_dict"])
def test_code_in_a_checkpoint_is_named_and_not_run(tmp_path: Path, place: str, legacy: bool) -> None:
    mark = tmp_path / "ran"
    evil: dict[str, Any] = {place: Evil(os.system, f"touch {mark}")}
    path = save(tmp_path / "a.tar", legacy=legacy, **evil)
    assert "asks to run" in sentence_of(read_official, path)
    assert "system" in sentence_of(read_official, path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "function", [eval, exec, importlib.__import__, getattr, np.load, np.frombuffer, pickle.loads, Path.unlink]
)
def test_no_other_function_may_be_called(tmp_path: Path, function: Any) -> None:
    sentence_of(read_official, save(tmp_path / "a.tar", best_loss=Evil(function, "1")))


def test_a_bare_pickle_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = tmp_path / "a.tar"
    path.write_bytes(pickle.dumps({"state_dict": Evil(os.system, f"touch {mark}")}))
    sentence_of(read_official, path)
    assert not mark.exists()


def test_a_scalar_of_objects_is_refused(tmp_path: Path) -> None:
    scalar = np.float32(0).__reduce__()[0]
    sentence_of(read_official, save(tmp_path / "a.tar", best_loss=Evil(scalar, np.dtype("O"), "anything")))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert "no such" in sentence_of(read_official, tmp_path / "none.tar")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, share: float, legacy: bool) -> None:
    path = save(tmp_path / "a.tar", legacy=legacy)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "expected an official PRNet checkpoint" in sentence_of(read_official, path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 0.999), noise=st.binary(min_size=1, max_size=40), legacy=st.booleans())
def test_damaged_files_give_a_result_or_a_sentence(tmp_path: Path, at: Any, noise: Any, legacy: bool) -> None:
    path = tmp_path / f"damaged-{legacy}.tar"
    source = tmp_path / f"whole-{legacy}.tar"
    if not source.exists():
        torch.save({"state_dict": {"a": torch.zeros(3)}, "best_loss": np.float32(1)}, source,
                   _use_new_zipfile_serialization=not legacy)  # fmt: skip
    data = bytearray(source.read_bytes())
    start = int(at * len(data))
    data[start : start + len(noise)] = noise
    path.write_bytes(bytes(data))
    with contextlib.suppress(InputError):
        read_official(path)


def test_an_archive_said_to_span_several_disks_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tar")
    data = bytearray(path.read_bytes())
    locator = data.find(b"PK\x06\x07")
    assert locator >= 0
    data[locator + 4 : locator + 8] = struct.pack("<I", 1)
    path.write_bytes(bytes(data))
    assert "a broken or truncated file" in sentence_of(read_official, path)


def test_an_archive_that_unfolds_to_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tar")
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x01\x02", 24),):  # the uncompressed size in each entry of the central directory
        at = data.find(mark)
        while at >= 0:
            data[at + offset : at + offset + 4] = struct.pack("<I", 2**31 - 1)
            at = data.find(mark, at + 4)
    path.write_bytes(bytes(data))
    assert "GiB" in sentence_of(read_official, path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([1, 2, 3], "without a state_dict"),
        ({"state_dict": {}}, "without a state_dict"),
        ({"state_dict": [torch.zeros(2)]}, "without a state_dict"),
        ({"state_dict": {"a": 3}}, "other things than dense"),
        ({"state_dict": {1: torch.zeros(2)}}, "other things than dense"),
        ({"state_dict": {"a": torch.zeros(2, dtype=torch.int64)}}, "other things than dense"),
        ({"state_dict": {"a": torch.zeros(2, 2).to_sparse()}}, "other things than dense"),
        ({"state_dict": {"a": torch.zeros(2, device="meta")}}, "other things than dense"),
    ],
)
def test_files_without_a_network_are_refused(tmp_path: Path, content: Any, found: str) -> None:
    path = tmp_path / "a.tar"
    torch.save(content, path)
    assert found in sentence_of(read_official, path)


def changed(state: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: changes.get(name.replace(".", "_"), value) for name, value in state.items()}


def segmentation_state() -> dict[str, Any]:
    """The layout of a segmentation U-Net: no first full-resolution level, no position head."""
    return {name: v for name, v in official_state(BASE, PATCH).items() if not name.startswith(("conv0", "fc", "conv8"))}


WHOLE = official_state(BASE, PATCH)


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (segmentation_state(), "the weights of another network"),
        ({n: v for n, v in WHOLE.items() if n != "fc3.bias"}, "1 tensors missing, first fc3.bias"),
        ({**WHOLE, "extra.weight": torch.zeros(1)}, "1 tensors too many, first extra.weight"),
        (changed(WHOLE, fc2_weight=torch.zeros(4, 4)), "fc2.weight of shape 4 x 4 instead of"),
        (changed(WHOLE, fc3_bias=torch.full((3,), float("nan"))), "not numbers"),
        (changed(WHOLE, conv0_1_model_conv1_1_Conv_weight=torch.zeros(())), "a first convolution of shape nothing"),
        (
            changed(WHOLE, conv0_1_model_conv1_1_Conv_weight=torch.zeros(1).expand(10**7, 1, 3, 3, 3)),
            "a first convolution of shape 10000000 x 1",
        ),
        (official_state(BASE, (32, 32, 32)), "for patches of 16384 voxels, found one for patches of 32768"),
    ],
    ids=["segmentation", "missing", "extra", "shape", "nan", "scalar", "huge", "patch size"],
)  # fmt: skip
def test_networks_of_another_layout_are_refused_and_nothing_is_written(
    tmp_path: Path, fine: Path, state: Any, found: str
) -> None:
    path = tmp_path / "other.tar"
    torch.save(as_saved({}, state_dict=state), path)
    output = tmp_path / "weights"
    assert found in sentence_of(import_official, path, fine, output, SMALL)
    assert not output.exists()


def test_half_precision_weights_are_imported_as_floats(tmp_path: Path, fine: Path) -> None:
    half = {name: value.half() for name, value in official_state(BASE, PATCH, 1).items()}
    path = tmp_path / "half.tar"
    torch.save(as_saved(half), path)
    import_official(path, fine, tmp_path / "weights", SMALL)
    network = load_weights(tmp_path / "weights").coarse.network
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}


def test_swapped_files_are_recognised_by_their_official_names(tmp_path: Path, coarse: Path, fine: Path) -> None:
    assert "swapped" in sentence_of(import_official, fine, coarse, tmp_path / "weights", SMALL)


def test_one_file_given_twice_is_refused(tmp_path: Path, coarse: Path) -> None:
    copy = tmp_path / "copy.tar"
    copy.write_bytes(coarse.read_bytes())
    assert "the same weights" in sentence_of(import_official, coarse, copy, tmp_path / "weights", SMALL)


def test_weights_that_are_there_are_not_written_over(tmp_path: Path, coarse: Path, fine: Path) -> None:
    import_official(coarse, fine, tmp_path / "weights", SMALL)
    assert "found weights in it" in sentence_of(import_official, coarse, fine, tmp_path / "weights", SMALL)


def test_an_output_that_is_a_file_is_refused(tmp_path: Path, coarse: Path, fine: Path) -> None:
    output = tmp_path / "weights"
    output.write_text("notes", encoding="utf-8")
    sentence_of(import_official, coarse, fine, output, SMALL)
    assert output.read_text(encoding="utf-8") == "notes"


@pytest.mark.parametrize(
    "wrong",
    [{"patch_size": (16, 32, 31)}, {"spacing": (0.0, 1.0, 1.0)}, {"coarse_range": (float("nan"), 1.0, 1.0)}],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, coarse: Path, fine: Path, wrong: Any) -> None:
    sentence_of(import_official, coarse, fine, tmp_path / "w", OfficialSettings(**{"patch_size": PATCH, **wrong}))
