"""Our own checkpoints: all there after a round trip, and one sentence for whatever else a file holds."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.networks.checkpoint import FORMAT, PRNetInfo, load_prnet, load_tensors, save_prnet, save_tensors

INFO = PRNetInfo(
    stage="coarse",
    base_channels=2,
    patch_size=(16, 32, 16),
    spacing=(6.0, 5.5, 5.0),
    position_range=(700.0, 500.0, 400.0),
    window=HUWindow((-900.0, 0.0, 900.0), (0.0, 0.4, 1.0)),
    training={"volumes": 3, "note": "ä"},
    step=17,
    metrics={"held_out_error_mm": 4.5},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "net.safetensors"
    save_prnet(file, INFO.build(), INFO)
    return file


def description_of(path: Path) -> dict[str, Any]:
    return load_tensors(path)[1]


def with_description(path: Path, text: str) -> None:
    """The same tensors under another description."""
    save_file(load_tensors(path)[0], str(path), {"format": FORMAT, "description": text})


def sentence_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_prnet(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


def test_weights_and_description_come_back_as_they_were(tmp_path: Path) -> None:
    network = INFO.build()
    save_prnet(tmp_path / "a.safetensors", network, INFO)
    loaded, info = load_prnet(tmp_path / "a.safetensors")
    assert info == INFO
    assert not loaded.training
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_the_official_wiring_is_remembered(tmp_path: Path) -> None:
    info = replace(INFO, official_wiring=True)
    save_prnet(tmp_path / "a.safetensors", info.build(), info)
    network, read = load_prnet(tmp_path / "a.safetensors")
    assert read.official_wiring
    assert network.official_wiring


def test_a_description_from_before_the_wirings_means_our_own(path: Path) -> None:
    description = description_of(path)
    del description["official_wiring"]
    with_description(path, json.dumps(description))
    assert not load_prnet(path)[1].official_wiring


def test_half_precision_takes_half_the_room_and_reads_as_floats(tmp_path: Path) -> None:
    network = INFO.build()
    whole, half = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_prnet(whole, network, INFO)
    save_prnet(half, network, INFO, half=True)
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    loaded, _ = load_prnet(half)
    for name, value in network.state_dict().items():
        assert loaded.state_dict()[name].dtype == torch.float32
        torch.testing.assert_close(loaded.state_dict()[name], value, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("value", "half"), [(float("nan"), False), (1e6, True)])
def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path, value: Any, half: bool) -> None:
    network = INFO.build()
    with torch.no_grad():
        network.fc3.bias[0] = value
    with pytest.raises(ValueError, match="numbers"):
        save_prnet(tmp_path / "a.safetensors", network, INFO, half)
    assert list(tmp_path.iterdir()) == []


def test_loaded_weights_can_be_trained_on_and_the_file_written_over(path: Path) -> None:
    network, info = load_prnet(path)
    before = network.fc3.bias.clone()
    network.train()(torch.rand(2, 1, 16, 32, 16))[0].sum().backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    save_prnet(path, network, info)
    assert not torch.equal(load_prnet(path)[0].fc3.bias, before)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert "no such" in sentence_of(tmp_path / "none.safetensors")


@pytest.mark.parametrize("data", [b"", b"hello", b"\x00" * 100, b"\xff" * 100, b"PK\x03\x04" + b"x" * 50])
def test_files_of_another_kind_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    assert "safetensors" in sentence_of(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_files_are_refused(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    sentence_of(path)


def test_safetensors_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(2)}, str(path))
    assert FORMAT in sentence_of(path)


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.zeros(2)}, {"kind": "segmentation"})
    assert "another kind" in sentence_of(path)


@pytest.mark.parametrize("text", ["", "{", "no json", "[" * 100_000, "9" * 10_000, "3", "null", "[1]", '"prnet"'])
def test_descriptions_that_are_no_json_object_are_refused(path: Path, text: str) -> None:
    with_description(path, text)
    sentence_of(path)


HOSTILE = [
    ("stage", "middle"),
    ("stage", 3),
    ("base_channels", "x"),
    ("base_channels", 10**9),
    ("base_channels", 0),
    ("base_channels", -4),
    ("base_channels", 2.0),
    ("base_channels", True),
    ("base_channels", 3),
    ("patch_size", [10**6, 10**6, 10**6]),
    ("patch_size", [16, 32]),
    ("patch_size", [17, 32, 16]),
    ("patch_size", [16, 16, 32, 1]),
    ("patch_size", "big"),
    ("patch_size", None),
    ("patch_size", [32, 32, 16]),
    ("spacing", [0, 1, 1]),
    ("spacing", [float("nan"), 1, 1]),
    ("spacing", [float("inf"), 1, 1]),
    ("spacing", [1, "1", 1]),
    ("spacing", 3),
    ("position_range", [-1, 1, 1]),
    ("position_range", []),
    ("window", None),
    ("window", {}),
    ("window", {"hu": 3, "level": 4}),
    ("window", {"hu": [1, 0], "level": [0, 1]}),
    ("window", {"hu": [0, float("nan")], "level": [0, 1]}),
    ("window", {"hu": [0, 1], "level": [0, 7]}),
    ("window", {"hu": [0, 1, 2], "level": [0, 1]}),
    ("step", "many"),
    ("step", -1),
    ("training", 3),
    ("metrics", [1]),
    ("unheard_of", 1),
    ("official_wiring", "yes"),
]


@pytest.mark.parametrize(("name", "value"), HOSTILE)
def test_descriptions_with_a_value_that_cannot_be_are_refused(path: Path, name: str, value: Any) -> None:
    with_description(path, json.dumps({**description_of(path), name: value}))
    sentence_of(path)


@pytest.mark.parametrize("name", ["stage", "base_channels", "patch_size", "spacing", "position_range", "window"])
def test_descriptions_with_a_gap_are_refused(path: Path, name: str) -> None:
    description = description_of(path)
    del description[name]
    with_description(path, json.dumps(description))
    assert "gaps" in sentence_of(path)


def test_weights_that_are_no_numbers_are_refused(path: Path) -> None:
    tensors, description = load_tensors(path)
    tensors["fc3.bias"][0] = float("inf")
    save_tensors(path, tensors, description)
    assert "numbers" in sentence_of(path)


def test_tensors_that_do_not_fit_the_description_are_refused(path: Path) -> None:
    tensors, description = load_tensors(path)
    save_tensors(path, {name: value for name, value in tensors.items() if name != "fc3.bias"}, description)
    assert "do not fit" in sentence_of(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["stage", "base_channels", "patch_size", "spacing", "position_range", "window", "step"]),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_any_value_in_a_description_gives_a_network_or_a_sentence(path: Path, name: str, value: Any) -> None:
    original = path.read_bytes()
    with_description(path, json.dumps({**description_of(path), name: value}))
    with contextlib.suppress(InputError):
        load_prnet(path)
    path.write_bytes(original)
