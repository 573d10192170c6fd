"""Training patches: around structures, turned, scaled and changed in intensity, with what is to be learnt in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from OneShotSegLib.networks.patches import PatchSource
from OneShotSegLib.training.prnet.augmentation import Augmentation
from OneShotSegLib.training.segmentation.cases import TrainingCase
from OneShotSegLib.training.segmentation.label_correction import LabelCorrection


@dataclass(frozen=True, kw_only=True)
class TrainingBatch:
    """Patches and what is to be learnt.

    Attributes:
        images: Shape (N, 1, d, h, w).
        targets: Probability of each channel, shape (N, classes, d, h, w).
        voxel_weights: How much a voxel counts, shape (N, d, h, w).
        absent: Channels of which nothing is known, shape (N, classes).
        channel_weights: How much a channel counts, shape (N, classes).
    """

    images: Tensor
    targets: Tensor
    voxel_weights: Tensor
    absent: Tensor
    channel_weights: Tensor


@dataclass(frozen=True, kw_only=True)
class PatchSampler:
    """Draws batches.

    Attributes:
        patch_size: Voxels [z, y, x].
        batch_size: Patches of a batch.
        correction: What makes targets of labels.
        on_structures: Share of the patches that lie around a voxel of a structure; the others lie anywhere in the body.
        augmentation: Random changes; there is no flip, for left and right are different structures.
    """

    patch_size: tuple[int, int, int]
    batch_size: int
    correction: LabelCorrection
    on_structures: float = 2 / 3
    augmentation: Augmentation = field(default_factory=Augmentation)

    def draw(self, cases: Sequence[TrainingCase], generator: torch.Generator) -> TrainingBatch:
        """A batch of patches from cases drawn at random."""
        chosen = torch.randint(len(cases), (self.batch_size,), generator=generator)
        return self.draw_from([cases[int(number)] for number in chosen], generator)

    def draw_from(self, cases: Sequence[TrainingCase], generator: torch.Generator) -> TrainingBatch:
        """One patch of each of these cases."""
        parts = [self._draw_patch(case, generator) for case in cases]
        images, targets, weights = (torch.stack(part) for part in zip(*parts, strict=True))
        absent = torch.stack([case.absent for case in cases])
        return TrainingBatch(
            images=images,
            targets=targets,
            voxel_weights=weights,
            absent=absent,
            channel_weights=torch.stack([case.weights for case in cases]),
        )

    def _draw_patch(self, case: TrainingCase, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        device = case.image.device
        spacing = case.spacing.to(device)
        source = PatchSource(case.image, torch.zeros(3, device=device), spacing)
        linear = self.augmentation.draw_linear(generator).to(device)
        centre = self._centre(case, generator).to(device) * spacing
        points = source.grid(centre[None], self.patch_size, linear)
        image = self.augmentation.change_intensity(source.read(points), generator)
        index = torch.round(source.to_index(points[0])).long()
        targets, weights = self.correction.targets(case, index)
        return image[0], targets, weights

    def _centre(self, case: TrainingCase, generator: torch.Generator) -> Tensor:
        """A voxel position (3,): a structure's voxel, each structure as often as another, or one of the body."""
        structures = [channel for channel in case.seeds if channel > 0]
        focused = bool(torch.rand(1, generator=generator).item() < self.on_structures) and bool(structures)
        pick = int(torch.randint(max(1, len(structures)), (1,), generator=generator))
        seeds = case.seeds[structures[pick] if focused else 0]
        seed = seeds[int(torch.randint(len(seeds), (1,), generator=generator))]
        jitter = (torch.rand(3, generator=generator) - 0.5) * torch.tensor(self.patch_size) / 2
        return seed + jitter
