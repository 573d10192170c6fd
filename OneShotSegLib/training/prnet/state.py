"""All that a training needs to go on where it was cut off, as one safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from OneShotSegLib.errors import InputError
from OneShotSegLib.networks.checkpoint import load_tensors, save_tensors

KIND = "prnet-state"


def save_state(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, counters: Mapping[str, Any]) -> None:
    """Write network, optimiser and counters, whole or not at all."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
    copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    save_tensors(path, copies, {"kind": KIND, **counters})


def load_state(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put network and optimiser back; returns the counters.

    Raises:
        InputError: If the file is no such state, or belongs to a network of another size.
    """
    tensors, description = load_tensors(path)
    if description.pop("kind", None) != KIND:
        raise InputError(f"{path}: expected the state of a training that was cut off, found something else.")
    prefix = "network."
    try:
        network.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
    except RuntimeError as error:
        raise InputError(
            f"{path}: expected the state of a network of the size that is asked for, found another: give the same "
            "options as before, or remove the folder to begin anew."
        ) from error
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return description
