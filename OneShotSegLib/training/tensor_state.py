"""Networks and optimisers as named tensors, for the files that a training that was cut off goes on from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

OPTIMIZER = "optimizer."


def network_tensors(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network, each name with a prefix."""
    return {f"{prefix}{name}": value for name, value in network.state_dict().items()}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser knows of each parameter: ``optimizer.<number>.<name>``."""
    return {
        f"{OPTIMIZER}{number}.{name}": torch.as_tensor(value)
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave; tensors of other things are passed over."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in with_prefix(OPTIMIZER, tensors).items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, by the rest of their names."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that share no memory, as safetensors needs them."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
