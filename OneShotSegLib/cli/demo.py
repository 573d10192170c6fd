"""The demo: the whole main job on the embedded phantom cohort."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from OneShotSegLib import phantom
from OneShotSegLib.cli.batch_progress import BatchProgress
from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation import evaluate
from OneShotSegLib.report.html import write_report
from OneShotSegLib.runner.propagation import propagate_batch
from OneShotSegLib.runner.request import PropagationRequest

WEIGHTS = "phantom"


def run_demo(output: Path, patients: int, device: str) -> Path:
    """Make phantom patients, propagate the first one's scribbles to the others, and evaluate the result.

    Args:
        output: Folder for the cohort, the study and the report.
        patients: Number of patients, the support included.
        device: Where the networks run.

    Returns:
        The report.

    Raises:
        InputError: If the folder holds something else.
    """
    console = Console(stderr=True)
    started = time.monotonic()
    cohort = output / "cohort"
    if output.is_dir() and any(output.iterdir()) and not cohort.is_dir():
        raise InputError(f"{output}: expected an empty folder or an earlier demo, found a folder with other files.")
    console.print(f"Making {patients} phantom patients in {cohort} ...", markup=False)
    files = phantom.write_cohort(cohort, patients)
    console.print(f"Propagating the scribbles of {files.support.name} to {len(files.queries)} other CTs ...")
    study = output / "study"
    request = PropagationRequest(
        supports=[files.support],
        scribbles=[files.scribbles],
        queries=files.queries,
        output=study,
        weights=WEIGHTS,
        device=device,
    )
    propagate_batch(request, BatchProgress(console))
    result = evaluate(cohort / "reference", study)
    result.to_csv(result.csv_path)
    report = write_report(study, result)
    Console().print(result.render())
    took = time.monotonic() - started
    console.print(f"Mean Dice {result.overall().dice or 0.0:.2f} on phantom patients, {took:.0f} s in all.")
    console.print(f"Report: {report.resolve()}", markup=False, soft_wrap=True)
    return report
