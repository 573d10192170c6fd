"""The supports of a run: read from their files, described and kept in the study."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.fingerprint import fingerprint_of
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.input_search import series_in
from OneShotSegLib.imaging.labelmaps import Segment, write_label_map
from OneShotSegLib.imaging.rtstruct import read_labels_of
from OneShotSegLib.method.scribbles import on_support
from OneShotSegLib.method.structures import common_structures, structures_of, with_common_values
from OneShotSegLib.method.support import ScribbledCT
from OneShotSegLib.networks.device import describe_device
from OneShotSegLib.networks.segmentation_checkpoint import MODEL_FILE
from OneShotSegLib.networks.weights import Weights
from OneShotSegLib.runner.methods import method_named
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.runner.reviewed import MaskSupport
from OneShotSegLib.study.case_state import check_no_link
from OneShotSegLib.study.description import StudyDescription, fingerprint_of_support, label_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.revisions import FIRST, SCRIBBLES


@dataclass(frozen=True)
class SharedState:
    """What all processes of a run must have alike of the study, besides its request and weights.

    Attributes:
        revision: Number of the revision that the results are of.
        known: The table of the study that the run goes on with, as `read_supports` takes it.
        masks: Reviewed cases that are supports.
    """

    revision: int = FIRST
    known: tuple[Segment, ...] = ()
    masks: tuple[MaskSupport, ...] = ()


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


def read_supports(request: PropagationRequest, known: Sequence[Segment] = ()) -> list[ScribbledCT]:
    """Read the supports.

    Args:
        request: The run.
        known: The table of the study that it goes on with: its values are used for structures of its names.

    Raises:
        InputError: If a file cannot be read, or not every support has its scribbles.
    """
    check_supports(request)
    found = [
        _support(ct, scribbles, request.background_label, series_in(ct, request.series))
        for ct, scribbles in zip(request.supports, request.scribbles, strict=True)
    ]
    scribbles = with_common_values([one.scribbles for one in found], known)
    return [ScribbledCT(one.ct, own) for one, own in zip(found, scribbles, strict=True)]


def _support(path: Path, scribbles: Path, background_label: int | None, series: str) -> ScribbledCT:
    ct = read_volume(path, series)
    labels = on_support(read_labels_of(scribbles, path, ct, series), ct)
    return ScribbledCT(ct, labels.with_background(background_label))


def describe(
    request: PropagationRequest,
    supports: Sequence[ScribbledCT],
    weights: Weights,
    device: torch.device,
    there: StudyDescription | None = None,
    masks: Sequence[MaskSupport] = (),
) -> StudyDescription:
    """The study that the request asks for, still without cases.

    Args:
        request: The run.
        supports: Its supports, with the study's values.
        weights: Both networks.
        device: Where it computes.
        there: The study that it goes on with, if there is one.
        masks: Reviewed cases that are supports too.

    Raises:
        InputError: If the supports' labels cannot be used.
    """
    structures = common_structures([structures_of(support.scribbles) for support in supports])
    known = {one.get("fingerprint", "") for revision in (there.revisions if there else ()) for one in revision.supports}
    paths = StudyPaths(request.output)
    return StudyDescription(
        supports=(
            *(
                _scribbles_entry(paths, path, support, series_in(path, request.series), known)
                for path, support in zip(request.supports, supports, strict=True)
            ),
            *(mask.as_json(paths) for mask in masks),
        ),
        labels=label_table(structures.foreground),
        background_label=structures.background.value,
        settings=_plain(asdict(method_named(request.method))),
        weights={
            "name": weights.name,
            "fingerprint": fingerprint_of_weights(weights),
            "steps": {info.stage: info.step for info in (weights.coarse.info, weights.fine.info)},
            "device": describe_device(device),
            **({} if request.network is None else {"candidate": _network_entry(request.network)}),
        },
    )


def _network_entry(model: Path) -> dict[str, str]:
    """What the study says of a trained network that it uses.

    Raises:
        InputError: If it is not there.
    """
    file = (model / MODEL_FILE if model.is_dir() else model).resolve()
    try:
        fingerprint = fingerprint_of(file.read_bytes())
    except OSError as error:
        raise InputError(f"{model}: expected a trained network, found none that can be read.") from error
    return {"name": file.parent.name, "file": str(file), "fingerprint": fingerprint}


def _scribbles_entry(
    paths: StudyPaths, path: Path, support: ScribbledCT, series: str, known: Collection[str]
) -> dict[str, str]:
    fingerprint = fingerprint_of_support(support.ct, support.scribbles, known)
    return {
        "kind": SCRIBBLES,
        "ct": str(path.resolve()),
        "scribbles": paths.new_scribbles(fingerprint).relative_to(paths.root).as_posix(),
        "fingerprint": fingerprint,
        **({"series": series} if series else {}),
    }


def fingerprint_of_weights(weights: Weights) -> str:
    """The fingerprint of weights: equal for those of equal description."""
    stages = (weights.coarse.info, weights.fine.info)
    return fingerprint_of(*(repr(sorted(_plain(asdict(info)).items())) for info in stages))


def _plain(content: Any) -> Any:
    """The content as JSON returns it, so that a study on disk and a request can be compared."""
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    return [_plain(value) for value in content] if isinstance(content, list | tuple) else content


def write_supports(paths: StudyPaths, description: StudyDescription, supports: Sequence[ScribbledCT]) -> None:
    """Keep the scribbles of the present revision's supports in the study, and links to their CTs.

    Those of earlier revisions stay.

    Raises:
        OSError: If a file cannot be written.
    """
    for entry, support in zip(description.present.scribbled, supports, strict=True):
        scribbles = paths.support_scribbles(entry)
        if not scribbles.exists():
            check_no_link(paths, scribbles.parent)
            write_label_map(support.scribbles, scribbles)
        # The link is for people who open the folder; where links are not allowed, study.json has the path.
        with contextlib.suppress(OSError):
            paths.support_link(entry["fingerprint"], Path(entry["ct"])).symlink_to(entry["ct"])
