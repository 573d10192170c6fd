"""The supports of a run: read from their files, described and kept in the study."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.fingerprint import fingerprint_of
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.input_search import series_in
from OneShotSegLib.imaging.labelmaps import write_label_map
from OneShotSegLib.imaging.rtstruct import read_labels_of
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.method.scribbles import on_support
from OneShotSegLib.method.support import ScribbledCT
from OneShotSegLib.networks.device import describe_device
from OneShotSegLib.networks.weights import Weights
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.study.description import StudyDescription, fingerprint_of_support, label_table
from OneShotSegLib.study.layout import StudyPaths


def check_supports(request: PropagationRequest) -> None:
    """Check that every support has its scribbles and is there; reads nothing.

    Raises:
        InputError: If not.
    """
    if not request.supports or len(request.supports) != len(request.scribbles):
        raise InputError(
            "Expected scribbles for each support (--support CT --scribbles MAP, repeated together); "
            f"found {len(request.supports)} and {len(request.scribbles)}."
        )
    for path in (*request.supports, *request.scribbles):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder.")


def read_supports(request: PropagationRequest) -> list[ScribbledCT]:
    """Read the supports.

    Raises:
        InputError: If a file cannot be read, or not every support has its scribbles.
    """
    check_supports(request)
    return [
        _support(ct, scribbles, request.background_label, series_in(ct, request.series))
        for ct, scribbles in zip(request.supports, request.scribbles, strict=True)
    ]


def _support(path: Path, scribbles: Path, background_label: int | None, series: str) -> ScribbledCT:
    ct = read_volume(path, series)
    labels = on_support(read_labels_of(scribbles, path, ct, series), ct)
    return ScribbledCT(ct, labels.with_background(background_label))


def describe(request: PropagationRequest, engine: Engine) -> StudyDescription:
    """The study that the request asks for, still without cases."""
    weights, structures = engine.weights, engine.structures
    return StudyDescription(
        supports=tuple(
            {
                "ct": str(path.resolve()),
                "scribbles": StudyPaths(request.output).support_scribbles(number).name,
                "fingerprint": fingerprint_of_support(support.ct, support.scribbles),
                **({"series": uid} if (uid := series_in(path, request.series)) else {}),
            }
            for number, (path, support) in enumerate(zip(request.supports, engine.supports, strict=True))
        ),
        labels=label_table(structures.foreground),
        background_label=structures.background.value,
        settings=_plain(asdict(engine.method)),
        weights={
            "name": weights.name,
            "fingerprint": fingerprint_of_weights(weights),
            "steps": {info.stage: info.step for info in (weights.coarse.info, weights.fine.info)},
            "device": describe_device(engine.models.device),
        },
    )


def fingerprint_of_weights(weights: Weights) -> str:
    """The fingerprint of weights: equal for those of equal description."""
    stages = (weights.coarse.info, weights.fine.info)
    return fingerprint_of(*(repr(sorted(_plain(asdict(info)).items())) for info in stages))


def _plain(content: Any) -> Any:
    """The content as JSON returns it, so that a study on disk and a request can be compared."""
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    return [_plain(value) for value in content] if isinstance(content, list | tuple) else content


def write_supports(paths: StudyPaths, request: PropagationRequest, supports: Sequence[ScribbledCT]) -> None:
    """Keep the supports' scribbles in the study, and links to their CTs."""
    for number, (ct, support) in enumerate(zip(request.supports, supports, strict=True)):
        if not paths.support_scribbles(number).exists():
            write_label_map(support.scribbles, paths.support_scribbles(number))
        # The link is for people who open the folder; where links are not allowed, study.json has the path.
        with contextlib.suppress(OSError):
            paths.support_link(ct, number).symlink_to(ct.resolve())
