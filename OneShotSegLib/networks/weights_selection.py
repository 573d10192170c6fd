"""Selection of the shipped weights that localise a scan's patches best; needs the scan alone."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.ct import prepare_ct
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.checkpoint import load_prnet
from OneShotSegLib.networks.patches import PatchSource
from OneShotSegLib.networks.prnet import relative_position
from OneShotSegLib.networks.weights import COARSE_FILE, resolve_weights, shipped_folders

log = logging.getLogger(__name__)

AUTO = "auto"
PATCHES = 32
MAX_LOCATION_ERROR_MM = 30.0
"""Weights that know a scan's anatomy have less: 8 to 13 mm on CTs that they did not see, 39 to 85 on another region."""
ANY_REGION = "headneck"
"""What is taken of the shipped weights where none knows the anatomy: those of real CTs."""


def choose_weights(name: str, ct: Volume, device: torch.device, images_place: bool = True) -> Path:
    """The folder of the weights to use: those named, or, for "auto", the shipped ones with the least location error.

    Args:
        name: Of shipped weights, a folder, or "auto".
        ct: The support.
        device: Where its patches are located.
        images_place: Whether the method finds the support in a query by the images too
            (`OneShotSegLib.method.registration`), so that weights serve that do not know the anatomy.

    Raises:
        InputError: If there are none of that name, or, for "auto" and where the images do not help, none that know the
            scan's anatomy.
    """
    if name != AUTO:
        return resolve_weights(name)
    ct = as_hounsfield(ct, "The support")
    errors = {folder: location_error(folder, ct, device) for folder in shipped_folders().values()}
    best = min(errors, key=lambda folder: errors[folder], default=None)
    if best is None:
        raise InputError(
            "Expected shipped weights, found none: name a folder with --weights, or train with train-prnet."
        )
    if errors[best] <= MAX_LOCATION_ERROR_MM:
        return best
    unknown = (
        f"None of the shipped weights ({', '.join(folder.name for folder in errors)}) knows the anatomy of the "
        f"support (least location error {errors[best]:.0f} mm)"
    )
    if not images_place:
        raise InputError(f"{unknown}: train some on the batch with train-prnet.")
    log.warning("%s: it is placed by the images alone. Weights of train-prnet on the batch may do better.", unknown)
    return shipped_folders().get(ANY_REGION, best)


def location_error(folder: Path, ct: Volume, device: torch.device) -> float:
    """How well a folder's coarse network predicts the relative positions of patches of a scan.

    Returns:
        The mean error, mm per axis; infinite where the scan shows nothing but air.
    """
    network, info = load_prnet(folder / COARSE_FILE, device)
    source = PatchSource.from_volume(prepare_ct(ct, info.spacing, info.window), device)
    body = (source.image > 0).nonzero()
    if not len(body):
        return float("inf")
    generator = torch.Generator().manual_seed(0)
    chosen = body[torch.randint(len(body), (PATCHES,), generator=generator).to(body.device)]
    positions = chosen * source.spacing + source.origin
    with torch.inference_mode():
        latent = network.locate(source.cut(positions, info.patch_size))
    position_range = torch.tensor(info.position_range, device=device)
    predicted = relative_position(latent[:, None], latent[None], position_range)
    return float((predicted - (positions[:, None] - positions[None])).abs().mean())
