"""Checks of what a checkpoint's description claims; all kinds of checkpoints share them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.intensity import HUWindow

Network = TypeVar("Network", bound=nn.Module)


def require(fulfilled: bool, expected: str, found: object) -> None:
    """Refuse a value of a description.

    Raises:
        ValueError: If the condition is not fulfilled; its message has what was expected and what was found.
    """
    if not fulfilled:
        raise ValueError(f"expected {expected}, found {str(found)[:60]!r}")


def is_whole(value: object, low: int, high: float = math.inf) -> bool:
    """Whether a value is a whole number from ``low`` to ``high``."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_number(value: object) -> bool:
    """Whether a value is a number, whole or not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_positive_triple(values: object) -> bool:
    """Whether a value is a tuple of three numbers over 0."""
    return isinstance(values, tuple) and len(values) == 3 and all(is_number(v) and 0 < v < 1e9 for v in values)


def require_named_values(training: object, metrics: object) -> None:
    """Refuse a training record or metrics without names; see `require`."""
    named = isinstance(training, Mapping) and isinstance(metrics, Mapping)
    require(named, "named values as training and metrics", metrics)


def are_finite(tensors: Mapping[str, Tensor]) -> bool:
    """Whether no value is NaN or infinite."""
    return all(bool(torch.isfinite(value).all()) for value in tensors.values())


@contextmanager
def description_errors(path: Path) -> Iterator[None]:
    """Raise what is wrong with a file's description as an `InputError` that names the file."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected a full description of the network in the file, found gaps.") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from error


def described_values(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description as JSON keeps it, with lists as tuples again and the HU window as such."""
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in description.items()}
    window = values["window"]
    return values | {"window": HUWindow(tuple(window["hu"]), tuple(window["level"]))}


def network_with(path: Path, build: Callable[[], Network], weights: Mapping[str, Tensor]) -> Network:
    """The network that a file describes, with the file's weights, ready for inference.

    Args:
        path: The file, for messages.
        build: Makes the network.
        weights: Its tensors by name.

    Raises:
        InputError: If a weight is NaN or infinite, or the weights are those of another architecture.
    """
    if not are_finite(weights):
        raise InputError(f"{path}: expected weights that are numbers, found NaN or infinite ones.")
    try:
        with torch.device("meta"):  # takes no memory, whatever size the description claims
            network = build()
        network.load_state_dict(weights, assign=True)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{path}: the weights do not fit the network that the file describes.") from error
    return network.eval()
