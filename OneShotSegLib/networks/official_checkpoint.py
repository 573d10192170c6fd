"""Import of the checkpoints that the paper's authors publish: their pickled ``.tar`` files become our safetensors.

A pickle can run any code when it is read. These files are therefore read by torch's restricted unpickler, which knows
tensors and plain containers only. The one thing beyond that in an official file is its ``best_loss``, a NumPy scalar;
the names that such a scalar needs are mapped to stand-ins that decode eight bytes and can do nothing else.
"""

from __future__ import annotations

import math
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.networks.checkpoint import MAX_BASE_CHANNELS, PRNetInfo, Vector3, save_prnet
from OneShotSegLib.networks.checkpoint_checks import are_finite
from OneShotSegLib.networks.prnet import STRIDE, PRNet
from OneShotSegLib.networks.weights import COARSE_FILE, FINE_FILE, is_weights_folder

FIRST_WEIGHT = "conv0_1.model.conv1_1.Conv.weight"
PARALLEL_PREFIX = "module."
MAX_BYTES = 2 * 1024**3
SCALAR_CODES = {"f2": "e", "f4": "f", "f8": "d"}


@dataclass(frozen=True, kw_only=True)
class OfficialSettings:
    """What an official checkpoint does not describe; the defaults are the published ones for the head and neck.

    Attributes:
        patch_size: Voxels [z, y, x].
        spacing: Working voxel size, mm [z, y, x].
        coarse_range: The coarse network's range r, mm [z, y, x].
        fine_range: The fine network's range r, mm [z, y, x].
        window: HU to 0-1.
    """

    patch_size: tuple[int, int, int] = (48, 128, 128)
    spacing: Vector3 = (3.0, 1.0, 1.0)
    coarse_range: Vector3 = (700.0, 500.0, 500.0)
    fine_range: Vector3 = (60.0, 60.0, 60.0)
    window: HUWindow = field(default_factory=HUWindow)


@dataclass(frozen=True)
class OfficialCheckpoint:
    """An official file's content.

    Attributes:
        state: The network's tensors by their official names, without the DataParallel prefix.
        epoch: Epochs trained; None where the file lacks it.
        best_loss: The lowest validation loss; None where the file lacks it.
    """

    state: dict[str, Tensor]
    epoch: int | None
    best_loss: float | None


def import_official(
    coarse: Path, fine: Path, output: Path, settings: OfficialSettings | None = None
) -> tuple[PRNetInfo, PRNetInfo]:
    """Convert an official coarse and fine checkpoint to a weights folder of ours; all is checked before it is written.

    Args:
        coarse: The authors' checkpoint of the coarse network (``*_large_*.tar``).
        fine: The authors' checkpoint of the fine network (``*_small_*.tar``).
        output: The folder to write; it must not hold weights yet.
        settings: What the files do not describe; the published values if left out.

    Returns:
        The descriptions of the coarse and the fine network.

    Raises:
        InputError: With one sentence, if a file is no official PRNet checkpoint or does not fit the settings.
    """
    chosen = settings or OfficialSettings()
    if is_weights_folder(output):
        raise InputError(f"{output}: expected a folder without weights to write to, found weights in it.")
    _check_not_swapped(coarse, fine)
    ranges = {"coarse": chosen.coarse_range, "fine": chosen.fine_range}
    read = {stage: read_official(path) for stage, path in (("coarse", coarse), ("fine", fine))}
    _check_different(coarse, fine, read["coarse"], read["fine"])
    networks, infos = {}, {}
    for stage, path in (("coarse", coarse), ("fine", fine)):
        networks[stage] = _network(path, read[stage].state, chosen.patch_size)
        infos[stage] = _describe(stage, path, read[stage], networks[stage], ranges[stage], chosen)
    try:
        for stage, name in (("coarse", COARSE_FILE), ("fine", FINE_FILE)):
            save_prnet(output / name, networks[stage], infos[stage])
    except OSError as error:
        raise InputError(
            f"{output}: expected a folder that can be written, found: {error.strerror or 'no room'}."
        ) from error
    return infos["coarse"], infos["fine"]


def read_official(path: Path) -> OfficialCheckpoint:
    """Read an official checkpoint without running anything that it asks for.

    Raises:
        InputError: With one sentence, if the file is missing, broken, asks for code, or holds no network.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint file.")
    _check_size(path)
    content = _load(path)
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise _unexpected(path, "a file without a state_dict")
    if not all(isinstance(name, str) and _is_plain(value) for name, value in state.items()):
        raise _unexpected(path, "a state_dict that holds other things than dense floating-point tensors")
    prefixed = all(name.startswith(PARALLEL_PREFIX) for name in state)
    epoch, loss = content.get("epoch"), content.get("best_loss")
    return OfficialCheckpoint(
        {name[len(PARALLEL_PREFIX) if prefixed else 0 :]: value for name, value in state.items()},
        epoch if isinstance(epoch, int) and 0 <= epoch < 10**9 else None,
        float(loss) if isinstance(loss, (int, float)) and math.isfinite(loss) else None,
    )


def _unexpected(path: Path, found: str) -> InputError:
    return InputError(f"{path}: expected an official PRNet checkpoint (.tar), found {found}.")


def _check_size(path: Path) -> None:
    """Refuse an archive that unfolds to far more than any PRNet needs."""
    size = path.stat().st_size
    try:
        # The question alone raises for some broken archives; opening them NotImplementedError and struct.error too.
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
    except Exception as error:
        raise _unexpected(path, "a broken or truncated file") from error
    if size > MAX_BYTES:
        raise _unexpected(path, f"{size / 1024**3:.0f} GiB of data, more than any PRNet has")


def _load(path: Path) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(_scalar_stand_ins()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        found = f"a file that asks to run {asked[1]} when it is read" if asked else "something else"
        raise _unexpected(path, found) from error
    except Exception as error:  # what a broken pickle or archive raises has no common class below this one
        raise _unexpected(path, "a broken or truncated file") from error


class _ScalarType:
    """Stands in for ``numpy.dtype`` while a checkpoint is read: remembers a type code and a byte order."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code, self.byte_order = str(code), "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.byte_order = ">" if state[1] == ">" else "<"


def _scalar_stand_ins() -> list[Any]:
    """The names that a pickled NumPy scalar needs, under NumPy 1 and 2, each with something harmless behind it."""
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")
    return [_named("numpy", "dtype", _ScalarType), *(_named(m, "scalar", _scalar_reader()) for m in modules)]


def _named(module: str, name: str, thing: Any) -> Any:
    """Let the unpickler find a thing under another name (it goes by these attributes)."""
    thing.__module__, thing.__name__, thing.__qualname__ = module, name, name
    return thing


def _scalar_reader() -> Callable[[object, object], float]:
    def scalar(kind: object, data: object = b"") -> float:
        if not (isinstance(kind, _ScalarType) and kind.code in SCALAR_CODES and isinstance(data, bytes)):
            raise pickle.UnpicklingError("no floating-point scalar")
        return float(struct.unpack(kind.byte_order + SCALAR_CODES[kind.code], data)[0])

    return scalar


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.is_floating_point()
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_nested
    )


def _check_not_swapped(coarse: Path, fine: Path) -> None:
    """The two networks have the same layout; only the official file names ("large", "small") tell them apart."""
    for path, stage, other in ((coarse, "coarse", "small"), (fine, "fine", "large")):
        if f"_{other}_" in path.name.lower():
            raise InputError(
                f"{path}: expected the checkpoint of the {stage} network, found one named {other!r}: "
                "are the two files swapped?"
            )


def _check_different(coarse: Path, fine: Path, first: OfficialCheckpoint, second: OfficialCheckpoint) -> None:
    if first.state.keys() == second.state.keys() and all(
        torch.equal(first.state[k], second.state[k]) for k in first.state
    ):
        raise InputError(f"{fine}: expected the fine network's checkpoint, found the same weights as in {coarse}.")


def _network(path: Path, state: Mapping[str, Tensor], patch_size: tuple[int, int, int]) -> PRNet:
    """The network with an official state in it, once the state has PRNet's layout."""
    channels = _base_channels(path, state)
    try:
        with torch.device("meta"):
            network = PRNet(channels, patch_size, official_wiring=True)
    except ValueError as error:
        raise InputError(f"{path}: {str(error).rstrip('.')}.") from error
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    _check_layout(path, state, expected, channels)
    if not are_finite(state):
        raise _unexpected(path, "weights that are not numbers (NaN or infinite)")
    network.load_state_dict({name: state[name].to(torch.float32, copy=True) for name in expected}, assign=True)
    return network.eval()


def _base_channels(path: Path, state: Mapping[str, Tensor]) -> int:
    first = state.get(FIRST_WEIGHT)
    if first is None:
        raise _unexpected(path, f"the weights of another network (no {FIRST_WEIGHT} among its {len(state)} tensors)")
    if first.ndim != 5 or tuple(first.shape[1:]) != (1, 3, 3, 3) or not 1 <= first.shape[0] <= MAX_BASE_CHANNELS:
        raise _unexpected(path, f"a first convolution of shape {_shape(first)} instead of C x 1 x 3 x 3 x 3")
    return int(first.shape[0])


def _check_layout(
    path: Path, state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], channels: int
) -> None:
    missing = sorted(expected.keys() - state.keys())
    if missing:
        raise _unexpected(path, f"the weights of another network ({len(missing)} tensors missing, first {missing[0]})")
    unknown = sorted(state.keys() - expected.keys())
    if unknown:
        raise _unexpected(path, f"the weights of another network ({len(unknown)} tensors too many, first {unknown[0]})")
    for name, shape in expected.items():
        if tuple(state[name].shape) == shape:
            continue
        if name == "fc1.weight" and state[name].ndim == 2:
            found, wanted = (size * STRIDE**3 / (16 * channels) for size in (state[name].shape[1], shape[1]))
            raise InputError(
                f"{path}: expected a network for patches of {wanted:.0f} voxels, found one for patches of {found:.0f} "
                "voxels; give the patch size that it was trained with."
            )
        wanted_shape = " x ".join(str(n) for n in shape)
        raise _unexpected(path, f"{name} of shape {_shape(state[name])} instead of {wanted_shape}")


def _shape(tensor: Tensor) -> str:
    return " x ".join(str(n) for n in tensor.shape) or "nothing"


def _describe(
    stage: str,
    path: Path,
    checkpoint: OfficialCheckpoint,
    network: PRNet,
    position_range: Vector3,
    settings: OfficialSettings,
) -> PRNetInfo:
    known = {"epoch": checkpoint.epoch, "best_loss": checkpoint.best_loss}
    training = {"source": "official", "file": path.name, **{k: v for k, v in known.items() if v is not None}}
    try:
        return PRNetInfo(
            stage=stage,
            base_channels=network.base_channels,
            patch_size=settings.patch_size,
            spacing=settings.spacing,
            position_range=position_range,
            window=settings.window,
            training=training,
            official_wiring=True,
        )
    except ValueError as error:
        raise InputError(f"{path}: {str(error).rstrip('.')}.") from error
