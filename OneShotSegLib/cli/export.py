"""`oneshotseg export`: the ways out of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from OneShotSegLib.cli.options import Study, print_error
from OneShotSegLib.exit_status import ExitStatus
from OneShotSegLib.export.request import NNUNetRequest

app = typer.Typer(
    help="Hand a study's masks on: to other trainers, to DICOM, to another reviewer.", no_args_is_help=True
)

T = TypeVar("T")

AcceptedOnly = Annotated[
    bool,
    typer.Option("--accepted-only/--all", help="Only what a reviewer accepted or corrected, or all but the rejected."),
]


@app.command()
def nnunet(
    study: Study,
    raw: Annotated[Path, typer.Argument(help="nnU-Net's folder of raw datasets (nnUNet_raw).")],
    dataset_id: Annotated[
        int, typer.Option(help="Number of the dataset, 1-999, free in that folder.")
    ] = NNUNetRequest.dataset_id,
    name: Annotated[
        str, typer.Option(help="Name of the dataset; that of the study's folder if left out.")
    ] = NNUNetRequest.name,
    accepted_only: AcceptedOnly = NNUNetRequest.accepted_only,
) -> None:
    """Write a raw dataset of nnU-Net v2: CTs, label maps with consecutive values, and dataset.json."""
    from OneShotSegLib.export.nnunet import export_nnunet

    request = NNUNetRequest(study=study, raw=raw, dataset_id=dataset_id, name=name, accepted_only=accepted_only)
    with _failures() as on_failure:
        print(export_nnunet(request, _tracked, on_failure))


@app.command()
def nifti(
    study: Study,
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    accepted_only: AcceptedOnly = True,
) -> None:
    """Write a NIfTI label map for each case, and tables that name the values and the reviewer's decisions."""
    from OneShotSegLib.export.nifti import export_nifti

    with _failures() as on_failure:
        print(export_nifti(study, folder, accepted_only, _tracked, on_failure))


@app.command("dicom-seg")
def dicom_seg(
    study: Study,
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    accepted_only: AcceptedOnly = True,
) -> None:
    """Write a DICOM segmentation for each case whose CT is a DICOM series (pip install "OneShotSegLib[dicom]")."""
    from OneShotSegLib.export.dicom_seg import export_dicom_seg

    with _failures() as on_failure:
        written, passed_over = export_dicom_seg(study, folder, accepted_only, _tracked, on_failure)
        for case, reason in passed_over.items():
            print_error(f"{case}: {reason}")
        print_error(f"{len(written)} segmentations in {folder}")


@app.command()
def rtstruct(
    study: Study,
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    accepted_only: AcceptedOnly = True,
) -> None:
    """Write a DICOM RTSTRUCT for each case whose CT is a DICOM series (pip install "OneShotSegLib[dicom]")."""
    from OneShotSegLib.export.rtstruct import export_rtstruct

    with _failures() as on_failure:
        written, passed_over = export_rtstruct(study, folder, accepted_only, _tracked, on_failure)
        for case, reason in passed_over.items():
            print_error(f"{case}: {reason}")
        print_error(f"{len(written)} structure sets in {folder}")


@app.command("zip")
def zip_(
    study: Study,
    file: Annotated[Path, typer.Argument(help="The zip file to write.")],
    report: Annotated[bool, typer.Option(help="Put the report in too, whose pictures show slices of the CTs.")] = True,
) -> None:
    """Write the study without its CTs and without paths of this machine, to hand on the review."""
    from OneShotSegLib.export.archive import export_zip

    with _failures() as on_failure:
        print(export_zip(study, file, report, on_failure))


@contextmanager
def _failures() -> Iterator[Callable[[str, str], None]]:
    """Takes the cases that cannot be exported; in the end they are printed, and the exit status says so.

    Raises:
        typer.Exit: If there were some.
    """
    failed: dict[str, str] = {}
    yield failed.__setitem__
    for case, reason in failed.items():
        print_error(f"{case}: not exported: {reason}")
    if failed:
        raise typer.Exit(ExitStatus.SOME_FAILED)


def _tracked(items: Sequence[T]) -> Iterable[T]:
    """Show the progress on standard error."""
    from rich.console import Console
    from rich.progress import track

    return track(items, "Export", console=Console(stderr=True))
