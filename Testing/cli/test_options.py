"""Every default has one source: the request that a command fills."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import pytest
from typer.main import get_command

from OneShotSegLib.cli.app import app
from OneShotSegLib.export.request import NNUNetRequest
from OneShotSegLib.runner.request import PropagationRequest, SegmentationRequest
from OneShotSegLib.training.prnet.request import PRNetTrainingRequest
from OneShotSegLib.training.prnet.trainer import TrainingSettings
from OneShotSegLib.training.segmentation.request import SegmentationTrainingRequest
from OneShotSegLib.training.segmentation.trainer import SegmentationSettings

REQUESTS = {
    "propagate": PropagationRequest,
    "segment": SegmentationRequest,
    "train-prnet": PRNetTrainingRequest,
    "train-seg": SegmentationTrainingRequest,
    "export nnunet": NNUNetRequest,
}


def defaults_of(request: type) -> dict[str, Any]:
    return {field.name: field.default for field in fields(request) if field.default is not MISSING}


@pytest.mark.parametrize("name", REQUESTS)
def test_an_option_has_the_default_of_its_request(name: str) -> None:
    command: Any = get_command(app)
    for part in name.split():
        command = command.commands[part]
    defaults = defaults_of(REQUESTS[name])
    compared = [option for option in command.params if option.name in defaults]
    if name == "train-seg":  # given as text
        compared = [option for option in compared if option.name not in ("spacing", "structures")]
        assert defaults["patch_size"] == tuple(
            map(int, next(p for p in command.params if p.name == "patch").default.split(","))
        )
    assert len(compared) >= 3
    for option in compared:
        # An option that may be repeated has no default of its own for none.
        assert (option.default or ()) == (defaults[option.name] or ()), option.name


@pytest.mark.parametrize(
    ("settings", "request_type"),
    [(TrainingSettings, PRNetTrainingRequest), (SegmentationSettings, SegmentationTrainingRequest)],
)
def test_the_settings_of_a_trainer_have_the_defaults_of_its_request(settings: type, request_type: type) -> None:
    ours, asked = defaults_of(settings), defaults_of(request_type)
    common = (ours.keys() & asked.keys()) - {"patience"}  # a trainer stops early only when it is asked to
    assert {"steps", "learning_rate", "seed"} <= common
    assert {name: ours[name] for name in common} == {name: asked[name] for name in common}
