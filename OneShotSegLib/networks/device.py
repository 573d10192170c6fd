"""The device that the networks run on."""

from __future__ import annotations

import torch

from OneShotSegLib.errors import InputError


def choose_device(name: str = "auto") -> torch.device:
    """The device of this name; "auto" is the first GPU, else the CPU.

    Raises:
        InputError: If it is no device name, or this machine lacks the device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"Expected a device of auto, cpu, cuda or cuda:N; found {name!r}.") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"Expected a device of auto, cpu, cuda or cuda:N; found {name!r}.")
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise InputError(f"Expected the GPU {name} that --device asks for, found {torch.cuda.device_count()} GPUs.")
    return device


def describe_device(device: torch.device) -> str:
    """A device in words."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def is_fast_in_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself: GPUs since Ampere, CPUs with AVX-512 BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # since torch 2.6; else float32 is safe
    return bool(supported and supported())
