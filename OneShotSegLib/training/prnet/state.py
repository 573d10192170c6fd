"""All that a training needs to go on where it was cut off, as one safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from OneShotSegLib.errors import InputError
from OneShotSegLib.networks.checkpoint import load_tensors, save_tensors
from OneShotSegLib.training.tensor_state import (
    load_optimizer,
    network_tensors,
    optimizer_tensors,
    storable,
    with_prefix,
)

KIND = "prnet-state"
NETWORK = "network."


def save_state(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, counters: Mapping[str, Any]) -> None:
    """Write network, optimiser and counters, whole or not at all.

    Raises:
        OSError: If the file cannot be written.
    """
    tensors = network_tensors(NETWORK, network) | optimizer_tensors(optimizer)
    save_tensors(path, storable(tensors), {"kind": KIND, **counters})


def load_state(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put network and optimiser back; returns the counters.

    Raises:
        InputError: If the file is no such state, or belongs to a network of another size.
    """
    tensors, description = load_tensors(path)
    if description.pop("kind", None) != KIND:
        raise InputError(f"{path}: expected the state of a training that was cut off, found something else.")
    try:
        network.load_state_dict(with_prefix(NETWORK, tensors))
    except RuntimeError as error:
        raise InputError(
            f"{path}: expected the state of a network of the size that is asked for, found another: give the same "
            "options as before, or remove the folder to begin anew."
        ) from error
    load_optimizer(optimizer, tensors)
    return description
