"""`oneshotseg train-prnet` on a folder of CTs: what it says, what it leaves, and that a kill costs nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from OneShotSegLib.cli.prnet_progress import TrainingProgress
from OneShotSegLib.errors import InputError
from OneShotSegLib.networks.checkpoint import load_prnet
from OneShotSegLib.phantom import CohortFiles
from OneShotSegLib.timer import in_words
from OneShotSegLib.training.prnet.command import train_weights
from OneShotSegLib.training.prnet.curves import read_checks
from OneShotSegLib.training.prnet.request import PRNetTrainingRequest
from Testing.helpers.tiny_batch import TinyBatch


@dataclass(frozen=True)
class Trained:
    """Weights trained for two steps, and the events meanwhile."""

    output: Path
    events: list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def trained(phantoms: CohortFiles, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    result = Trained(tmp_path_factory.mktemp("trained") / "own", [])
    request = PRNetTrainingRequest(
        volumes=[phantoms.support, *phantoms.queries], output=result.output, steps=2, base_channels=4
    )
    train_weights(request, lambda event, **fields: result.events.append((event, fields)))
    return result


def test_the_command_writes_weights_that_can_be_loaded(trained: Trained) -> None:
    network, info = load_prnet(trained.output / "fine.safetensors")
    assert info.stage == "fine"
    assert info.step in (0, 2)
    assert info.metrics["held_out_error_mm"] > 0
    assert network.base_channels == 4


def test_the_plan_comes_before_the_first_step_and_says_how_long_it_will_take(
    trained: Trained, phantoms: CohortFiles
) -> None:
    assert [event for event, _ in trained.events[:3]] == ["started", "planned", "case_started"]
    planned = trained.events[1][1]
    assert planned["seconds"] >= 0
    assert f"Training on 2 CTs, 1 held out ({phantoms.queries[-1].name})" in planned["text"]
    assert "This takes at most" in planned["text"]
    record = json.loads((trained.output / "training.json").read_text(encoding="utf-8"))
    assert record["held_out"] == [str(phantoms.queries[-1])]


def test_curves_lie_beside_the_weights(trained: Trained) -> None:
    for stage in ("coarse", "fine"):
        assert [check.step for check in read_checks(trained.output / f"{stage}.curve.csv")] == [0, 2]
        assert (trained.output / f"{stage}.curve.png").stat().st_size > 1000


def test_too_few_volumes_are_refused_in_a_sentence(phantoms: CohortFiles, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected more than 1 CTs"):
        train_weights(PRNetTrainingRequest(volumes=[phantoms.support], output=tmp_path / "own"))


def test_a_training_killed_by_the_system_goes_on_where_it_was(tiny: TinyBatch, tmp_path: Path) -> None:
    files = [tiny.files.support, *tiny.files.queries]
    numbers = {"--steps": 12, "--fine-steps": 1, "--base-channels": 4, "--check-every": 2}
    options = [str(part) for option in numbers.items() for part in option]
    command = [sys.executable, "-m", "OneShotSegLib", "train-prnet", *options, "--device", "cpu", "--events", "json"]
    with subprocess.Popen(
        [*command, "--output", str(tmp_path / "killed"), *map(str, files)], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        next(line for line in child.stdout if b"step 4 of 12" in line)
        child.kill()
    table, state = tmp_path / "killed" / "coarse.curve.csv", tmp_path / "killed" / "coarse.state"
    assert state.exists(), "it was done before it could be killed"
    checks_done = len(read_checks(table))
    for name in ("killed", "unbroken"):
        train_weights(
            PRNetTrainingRequest(
                volumes=files,
                output=tmp_path / name,
                steps=12,
                fine_steps=1,
                base_channels=4,
                check_every=2,
                device="cpu",
            )
        )
    assert 3 <= checks_done < len(read_checks(table)) == 7
    assert not state.exists()
    resumed, unbroken = (load_prnet(tmp_path / name / "coarse.safetensors") for name in ("killed", "unbroken"))
    assert resumed[1].step == unbroken[1].step
    for one, other in zip(resumed[0].parameters(), unbroken[0].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_going_on_from_weights_takes_their_architecture(
    trained: Trained, phantoms: CohortFiles, tmp_path: Path
) -> None:
    files = [phantoms.support, *phantoms.queries]
    request = PRNetTrainingRequest(volumes=files, output=tmp_path / "second", steps=1, start_from=trained.output)
    train_weights(request)
    first = read_checks(trained.output / "coarse.curve.csv")
    second = read_checks(tmp_path / "second" / "coarse.curve.csv")
    assert second[0].error_mm == pytest.approx(first[-1].best_mm, rel=1e-3)
    assert load_prnet(tmp_path / "second" / "coarse.safetensors")[1].base_channels == 4


def test_weights_that_are_done_are_left_as_they_are(trained: Trained, phantoms: CohortFiles) -> None:
    before = (trained.output / "coarse.safetensors").stat().st_mtime_ns
    events: list[str] = []
    request = PRNetTrainingRequest(
        volumes=[phantoms.support, *phantoms.queries], output=trained.output, steps=2, base_channels=4
    )
    train_weights(request, lambda event, **fields: events.append(event))
    assert events == ["started", *("case_started", "case_done") * 2, "finished"]
    assert (trained.output / "coarse.safetensors").stat().st_mtime_ns == before


def test_a_person_sees_plan_checks_and_result(tmp_path: Path) -> None:
    console = Console(record=True, width=200, force_terminal=False, file=(tmp_path / "out").open("w", encoding="utf-8"))
    tell = TrainingProgress(console)
    tell("started", cases=["coarse"], study="weights")
    tell("planned", text="This takes at most 3 min.", seconds=180)
    tell("case_started", case="coarse")
    tell("step", case="coarse", step="step 5 of 10, error 9.1 mm (best 9.1)", fraction=0.5, seconds_left=130)
    tell("case_done", case="coarse", score=1.0, steps=10, best_step=5, held_out_error_mm=9.1)
    tell("case_done", case="fine", score=1.0, resumed=True)
    tell("finished", done=1, failed=0)
    text = console.export_text()
    assert "This takes at most 3 min." in text
    assert "coarse: step 5 of 10, error 9.1 mm (best 9.1), 2 min left" in text
    assert "the best weights, of step 5, are off by 9.1 mm" in text
    assert "fine: done before" in text
    assert "Weights: weights" in text


def test_durations_are_given_in_the_unit_that_fits() -> None:
    assert [in_words(s) for s in (0.2, 40, 200, 9000)] == ["1 s", "40 s", "3 min", "2.5 h"]
