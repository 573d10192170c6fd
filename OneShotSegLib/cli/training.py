"""The commands that make networks: `train-prnet`, `train-seg`, `import-weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from OneShotSegLib.cli.options import (
    Device,
    Events,
    EventsOption,
    as_option,
    print_error,
    three_numbers,
    three_whole_numbers,
)
from OneShotSegLib.training.prnet.request import PRNetTrainingRequest
from OneShotSegLib.training.segmentation.request import CorrectionName, SegmentationTrainingRequest

AUTO = "auto"


def train_prnet(
    output: Annotated[Path, typer.Option(help="The weights folder to write; a run that was cut off goes on.")],
    volume: Annotated[list[Path], typer.Argument(help="CTs without labels, or folders of them.")],
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps per stage.")] = PRNetTrainingRequest.steps,
    fine_steps: Annotated[
        int | None, typer.Option(min=1, help="Other number of steps for the fine stage.")
    ] = PRNetTrainingRequest.fine_steps,
    base_channels: Annotated[
        int, typer.Option(min=4, max=64, help="Width of the networks.")
    ] = PRNetTrainingRequest.base_channels,
    hold_out: Annotated[
        int | None, typer.Option(min=1, help="CTs, the last ones, held out to measure the error on; else a tenth.")
    ] = PRNetTrainingRequest.hold_out,
    learning_rate: Annotated[
        float, typer.Option(min=1e-6, help="Peak learning rate.")
    ] = PRNetTrainingRequest.learning_rate,
    start_from: Annotated[str | None, typer.Option(help="Weights (folder or shipped name) to go on from.")] = None,
    check_every: Annotated[
        int, typer.Option(min=1, help="Steps between two checks on the CTs held out.")
    ] = PRNetTrainingRequest.check_every,
    patience: Annotated[
        int, typer.Option(min=0, help="Checks without gain that end a stage; 0 for never.")
    ] = PRNetTrainingRequest.patience,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = PRNetTrainingRequest.seed,
    device: Device = PRNetTrainingRequest.device,
    events: EventsOption = Events.text,
) -> None:
    """Train both PRNet stages on your own CTs; no labels are needed. On several GPUs: torchrun -m OneShotSegLib ..."""
    from OneShotSegLib.cli.prnet_progress import TrainingProgress
    from OneShotSegLib.events import JsonEvents
    from OneShotSegLib.training.prnet.command import train_weights

    request = PRNetTrainingRequest(
        volumes=volume,
        output=output,
        steps=steps,
        base_channels=base_channels,
        hold_out=hold_out,
        seed=seed,
        device=device,
        learning_rate=learning_rate,
        start_from=start_from,
        fine_steps=fine_steps,
        check_every=check_every,
        patience=patience,
    )
    train_weights(request, JsonEvents() if events is Events.json else TrainingProgress())


def train_seg(
    study: Annotated[Path, typer.Argument(help="The study folder; rejected cases are left out.")],
    output: Annotated[Path, typer.Option(help="The model folder to write; a training that was cut off goes on.")],
    correction: Annotated[
        CorrectionName, typer.Option(help="What is done about noisy labels; reviewed cases are never changed.")
    ] = SegmentationTrainingRequest.correction,
    network: Annotated[
        str, typer.Option(help="unet (the paper's), monai-unet, segresnet or dynunet.")
    ] = SegmentationTrainingRequest.network,
    base_channels: Annotated[
        int, typer.Option(min=2, max=128, help="Width of the network.")
    ] = SegmentationTrainingRequest.base_channels,
    structures: Annotated[
        str, typer.Option(help="Names or values of the structures to learn, with commas; all if left out.")
    ] = ",".join(SegmentationTrainingRequest.structures),
    spacing: Annotated[
        str, typer.Option(help="Working voxel size in mm as z,y,x, or 'auto' for what suits the CTs.")
    ] = AUTO,
    patch: Annotated[str, typer.Option(help="Voxels of a patch as z,y,x, multiples of 8.")] = as_option(
        SegmentationTrainingRequest.patch_size
    ),
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = SegmentationTrainingRequest.steps,
    batch_size: Annotated[int, typer.Option(min=1, help="Patches per step.")] = SegmentationTrainingRequest.batch_size,
    rounds: Annotated[
        int, typer.Option(min=0, help="Rounds of label correction.")
    ] = SegmentationTrainingRequest.rounds,
    hold_out: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="Share of the cases whose labels only the choice of the model sees.")
    ] = SegmentationTrainingRequest.hold_out,
    learning_rate: Annotated[
        float, typer.Option(min=1e-6, help="Peak learning rate.")
    ] = SegmentationTrainingRequest.learning_rate,
    precision: Annotated[
        str, typer.Option(help="float32, bfloat16, or 'auto' for what is fast here.")
    ] = SegmentationTrainingRequest.precision,
    start_from: Annotated[
        Path | None,
        typer.Option(help="A trained network to go on from; architecture and structures are then its own."),
    ] = SegmentationTrainingRequest.start_from,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = SegmentationTrainingRequest.seed,
    device: Device = SegmentationTrainingRequest.device,
    events: EventsOption = Events.text,
) -> None:
    """Train a segmentation network on a study's pseudo masks, all that were not rejected."""
    from OneShotSegLib.cli.segmentation_progress import SegmentationTrainingProgress
    from OneShotSegLib.events import JsonEvents
    from OneShotSegLib.training.segmentation.command import train_segmentation

    request = SegmentationTrainingRequest(
        study=study,
        output=output,
        correction=correction,
        network=network,
        base_channels=base_channels,
        patch_size=three_whole_numbers(patch, "--patch"),
        spacing=None if spacing == AUTO else three_numbers(spacing, "--spacing"),
        structures=[name for name in structures.split(",") if name.strip()],
        steps=steps,
        batch_size=batch_size,
        rounds=rounds,
        hold_out=hold_out,
        learning_rate=learning_rate,
        seed=seed,
        device=device,
        precision=precision,
        start_from=start_from,
    )
    train_segmentation(request, JsonEvents() if events is Events.json else SegmentationTrainingProgress())


def import_weights(
    coarse: Annotated[Path, typer.Option(help="Official coarse checkpoint (.tar).")],
    fine: Annotated[Path, typer.Option(help="Official fine checkpoint (.tar).")],
    output: Annotated[Path, typer.Option(help="The weights folder to write.")],
) -> None:
    """Import checkpoints of the paper's published code; nothing in them is executed."""
    from OneShotSegLib.networks.official_checkpoint import import_official

    import_official(coarse, fine, output)
    print_error(f"Weights: {output}")
