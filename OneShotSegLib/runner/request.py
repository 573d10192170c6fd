"""What a run is asked to do: described once, with the defaults, for the command line, Python, Dask and Slicer alike.

These have the runs' defaults; those of the method's steps are with the steps (`OneShotSegLib.method.settings`).
Requests of a training are in `training/prnet/request.py` and `training/segmentation/request.py`, that of an export for
nnU-Net in `export/request.py`. Nothing here computes or imports what does: Slicer's own process makes requests too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from OneShotSegLib.method.settings import Method

ALL, NONE, REVIEWED = "all", "none", "reviewed"


@dataclass(frozen=True, kw_only=True)
class PropagationRequest:
    """What `oneshotseg propagate` is asked to do.

    Attributes:
        supports: The scribbled CTs, one or more.
        scribbles: The scribbles of each: a label map, a segmentation, or the RTSTRUCT of a DICOM series.
        queries: CTs, or folders of them.
        output: The study folder.
        weights: Shipped name or folder; "auto" for the shipped weights that know the support's anatomy best.
        device: "auto", "cpu", "cuda" or "cuda:N".
        background_label: Value of the background stroke, if no segment is named so.
        method: "default", "paper", or settings of your own (`OneShotSegLib.method.settings.Method`).
        retry_failed: Try each case that fails once more, after all the others.
        workers: Worker processes to start on this machine; None for this process alone.
        scheduler: Address of a Dask scheduler whose workers do the cases.
        series: Which series to take of a folder that holds several CT series: each a UID, or a part of a description.
        reviewed: Which accepted and corrected cases of the study are supports too, with their whole masks: "reviewed"
            for all of them, "none", or names of cases with commas.
        support_cases: Make each support a case of the study too, whose mask is what its own strokes grew into: to be
            reviewed and corrected as any other.
        network: A trained segmentation network (its file, or the folder that ``train-seg`` wrote) whose masks are one
            more candidate in the label fusion; None for none.
    """

    supports: Sequence[Path]
    scribbles: Sequence[Path]
    queries: Sequence[Path]
    output: Path
    weights: str = "auto"
    device: str = "auto"
    background_label: int | None = None
    method: str | Method = "default"
    retry_failed: bool = False
    workers: int | None = None
    scheduler: str | None = None
    series: Sequence[str] = ()
    reviewed: str = REVIEWED
    support_cases: bool = False
    network: Path | None = None

    @property
    def is_distributed(self) -> bool:
        """Whether other processes do the cases."""
        return self.workers is not None or self.scheduler is not None

    def resolved(self) -> PropagationRequest:
        """The same request with absolute paths, for a process that works in another folder."""
        return replace(
            self,
            supports=tuple(path.resolve() for path in self.supports),
            scribbles=tuple(path.resolve() for path in self.scribbles),
            queries=tuple(path.resolve() for path in self.queries),
            output=self.output.resolve(),
            network=self.network and self.network.resolve(),
        )


@dataclass(frozen=True, kw_only=True)
class SegmentationRequest:
    """What `oneshotseg segment` is asked to do.

    Attributes:
        model: The network: a file, or the folder that ``train-seg`` wrote.
        volumes: CTs, or folders of them.
        output: The study folder.
        device: "auto", "cpu", "cuda" or "cuda:N".
        overlap: Share of a window that the next one covers again, 0 to below 1.
        flips: Average over flips along z and y.
        largest_component: "all", "none", or names or values of structures with commas.
        fill_holes: Likewise.
        series: Which series to take of a folder that holds several CT series, as in `PropagationRequest`.
        check_region: Fail a case that shows another part of the body than the network learnt.
    """

    model: Path
    volumes: Sequence[Path]
    output: Path
    device: str = "auto"
    overlap: float = 0.5
    flips: bool = False
    largest_component: str = ALL
    fill_holes: str = NONE
    series: Sequence[str] = ()
    check_region: bool = True
