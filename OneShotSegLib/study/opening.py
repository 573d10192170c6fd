"""Beginning a study, or going on with one: what is asked for, and whether the folder is fit for it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import read_label_map, write_label_map
from OneShotSegLib.networks.device import describe_device
from OneShotSegLib.networks.weights import Weights
from OneShotSegLib.pipeline import DEFAULT, Method
from OneShotSegLib.study.description import (
    StudyCase,
    StudyDescription,
    fingerprint_of,
    fingerprint_of_support,
    label_table,
)
from OneShotSegLib.study.engine import Engine, ScribbledCT
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.naming import unique_names


@dataclass(frozen=True)
class PropagationRequest:
    """What `oneshotseg propagate` is asked to do.

    Attributes:
        supports: The scribbled CTs, one or more.
        scribbles: The scribbles of each.
        queries: CTs, or folders of them.
        output: The study folder.
        weights: Shipped name or folder; "auto" for the shipped weights that know the support's anatomy best.
        device: "auto", "cpu", "cuda" or "cuda:N".
        background_label: Value of the background stroke, if no segment is named so.
        method: Settings of the steps.
        retry_failed: Try each case that fails once more, after all the others.
        workers: Worker processes to start on this machine; None for this process alone.
        scheduler: Address of a Dask scheduler whose workers do the cases.
    """

    supports: Sequence[Path]
    scribbles: Sequence[Path]
    queries: Sequence[Path]
    output: Path
    weights: str = "auto"
    device: str = "auto"
    background_label: int | None = None
    method: Method = DEFAULT
    retry_failed: bool = False
    workers: int | None = None
    scheduler: str | None = None

    @property
    def is_shared_out(self) -> bool:
        """Whether other processes do the cases."""
        return self.workers is not None or self.scheduler is not None


def check_output(paths: StudyPaths) -> None:
    """Refuse an output folder that holds something that is no study.

    Raises:
        InputError: If so.
    """
    if paths.root.is_file():
        raise InputError(f"{paths.root}: expected a folder for the study, found a file.")
    if paths.description.exists() or not paths.root.is_dir():
        return
    if any(entry != paths.lock for entry in paths.root.iterdir()):
        raise InputError(f"{paths.root}: expected an empty folder or a study, found a folder with other files.")


def read_supports(request: PropagationRequest) -> list[ScribbledCT]:
    """Read the supports.

    Raises:
        InputError: If a file cannot be read, or not every support has its scribbles.
    """
    if not request.supports or len(request.supports) != len(request.scribbles):
        raise InputError(
            "Expected scribbles for each support (--support CT --scribbles MAP, repeated together); "
            f"found {len(request.supports)} and {len(request.scribbles)}."
        )
    return scribbled_cts(request.supports, request.scribbles, request.background_label)


def scribbled_cts(cts: Sequence[Path], maps: Sequence[Path], background_label: int | None) -> list[ScribbledCT]:
    """Read CTs and the scribbles of each.

    Raises:
        InputError: If a file cannot be read.
    """
    return [
        ScribbledCT(read_volume(ct), read_label_map(scribbles).with_background(background_label))
        for ct, scribbles in zip(cts, maps, strict=True)
    ]


def describe(request: PropagationRequest, engine: Engine) -> StudyDescription:
    """The study that the request asks for, still without cases."""
    weights, structures = engine.weights, engine.structures
    return StudyDescription(
        supports=tuple(
            {
                "ct": str(path.resolve()),
                "scribbles": StudyPaths(request.output).support_scribbles(number).name,
                "fingerprint": fingerprint_of_support(support.ct, support.scribbles),
            }
            for number, (path, support) in enumerate(zip(request.supports, engine.supports, strict=True))
        ),
        labels=label_table(structures.foreground),
        background_label=structures.background.value,
        settings=_plain(asdict(request.method)),
        weights={
            "name": weights.name,
            "fingerprint": fingerprint_of_weights(weights),
            "steps": {info.stage: info.step for info in (weights.coarse.info, weights.fine.info)},
            "device": describe_device(engine.bench.device),
        },
    )


def fingerprint_of_weights(weights: Weights) -> str:
    """A short name for weights: equal for those of equal description."""
    stages = (weights.coarse.info, weights.fine.info)
    return fingerprint_of(*(repr(sorted(_plain(asdict(info)).items())) for info in stages))


def _plain(content: Any) -> Any:
    """The same content as JSON gives it back, so that what was written and what is asked for can be compared."""
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    return [_plain(value) for value in content] if isinstance(content, list | tuple) else content


def open_study(paths: StudyPaths, wanted: StudyDescription, cases: tuple[StudyCase, ...]) -> StudyDescription:
    """Begin a study, or go on with the one that is there; new cases come after the old ones."""
    if paths.description.exists():
        there = StudyDescription.read(paths)
        difference = wanted.differs_from(there)
        if difference:
            raise InputError(f"{paths.root}: expected this study or an empty folder, found a study with {difference}.")
        known = {case.source: case for case in there.cases}
        fresh = [case for case in cases if case.source not in known]
        names = unique_names((case.case for case in fresh), (case.case for case in there.cases))
        named = (replace(case, case=name) for case, name in zip(fresh, names, strict=True))
        wanted = replace(there, cases=(*there.cases, *named))
    else:
        wanted = replace(wanted, cases=cases)
    wanted.write(paths)
    return wanted


def write_supports(paths: StudyPaths, request: PropagationRequest, supports: Sequence[ScribbledCT]) -> None:
    """Keep the supports' scribbles in the study, and links to their CTs."""
    for number, (ct, support) in enumerate(zip(request.supports, supports, strict=True)):
        if not paths.support_scribbles(number).exists():
            write_label_map(support.scribbles, paths.support_scribbles(number))
        # A link is a courtesy to people who open the folder; study.json has the path where links are not allowed.
        with contextlib.suppress(OSError):
            paths.support_link(ct, number).symlink_to(ct.resolve())
