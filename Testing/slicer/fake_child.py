"""Stands in for `python -m OneShotSegLib`: emits the same events, writes the same files, computes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from OneShotSegLib.exit_status import ExitStatus
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.input_search import find_volumes
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.slicer.jobs import background, background_child
from OneShotSegLib.study.description import StudyDescription, name_cases
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, read_quality, write_quality
from OneShotSegLib.study.review import ReviewLedger
from OneShotSegLib.study.revisions import SCRIBBLES
from OneShotSegLib.worker.server import serve

TRAININGS = {"train-prnet": ("coarse", "fine"), "train-seg": ("segmentation",)}
"""The stages of each training."""
MODE = os.environ.get("FAKE_CHILD", "")


def emit(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, "new_field": 1, **fields}), flush=True)


def option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def main(arguments: list[str]) -> int:
    if arguments[:2] == ["-m", background.MODULE]:
        background_child.main(Path(arguments[2]))
        return ExitStatus.DONE
    if arguments[:2] == ["-m", "OneShotSegLib.doctor"]:
        print('{"can_run": true, "findings": [{"name": "Memory", "state": "ok", "text": "enough"}]}')
        return ExitStatus.DONE
    if arguments[:2] == ["-m", "OneShotSegLib.backend"]:
        return environment(arguments[2:])
    if MODE == "bad":
        print("a warning", file=sys.stderr)
        print("weights: expected a folder, found none.", file=sys.stderr)
        return ExitStatus.BAD_INPUT
    if arguments[:2] != ["-m", "OneShotSegLib"]:
        print('{"devices": [{"name": "cpu", "label": "CPU", "free": 2147483648, "total": 4294967296}]}')
        return 0
    if arguments[2] == "worker":  # it computes in a moment, and needs no PyTorch: the real one
        serve()
        return ExitStatus.DONE
    if arguments[2] == "suggest-support":  # so does this one
        return suggest(arguments[2:])
    if arguments[2] in ("export", "report", "segment"):
        return deliver(arguments[2:])
    if arguments[2] in TRAININGS:
        return train(Path(option(arguments, "--output")), TRAININGS[arguments[2]])
    study = StudyPaths(Path(option(arguments, "--output")))
    queries = [Path(argument) for argument in arguments[arguments.index("--") + 1 :]]
    cases = name_cases(path for query in queries for path in find_volumes(query))
    scribbles = read_label_map(option(arguments, "--scribbles"))
    support = {"kind": SCRIBBLES, "fingerprint": "support", "scribbles": "supports/support.seg.nrrd"}
    write_label_map(scribbles, study.root / support["scribbles"])
    support["ct"] = option(arguments, "--support")
    StudyDescription(supports=(support,), labels=(), background_label=255, settings={}, weights={}, cases=cases).write(
        study
    )
    print("this line is no event", flush=True)
    emit("started", cases=[case.case for case in cases], study=str(study.root))
    emit("something_new", of="a later version")
    failed = sum(not one_case(study, n, case.case, Path(case.source), scribbles) for n, case in enumerate(cases))
    emit("finished", done=len(cases) - failed, failed=failed)
    return ExitStatus.SOME_FAILED if failed else ExitStatus.DONE


def environment(arguments: list[str]) -> int:
    """The real installation but for pip, of an environment of this Python; with "full disk" there is no space."""
    from OneShotSegLib.backend import plan, pythons
    from OneShotSegLib.backend.__main__ import main
    from Testing.helpers.environments import stand_in_for_pip

    stand_in_for_pip()
    plan.PYTHONS = (f"{sys.version_info.major}.{sys.version_info.minor}",)
    pythons.candidates = lambda: iter([Path(sys.executable)])
    if MODE == "full disk":
        shutil.disk_usage = lambda path: type("Usage", (), {"free": 1000})()
    return main(arguments)


def suggest(arguments: list[str]) -> int:
    """The real comparison; with "slow" it stops at the first CT."""
    if MODE == "slow":
        emit("started", cases=arguments[arguments.index("--") + 1 :], study="")
        emit("case_started", case="first")
        time.sleep(600)
    from OneShotSegLib.cli.app import app

    app(arguments, standalone_mode=False)
    return ExitStatus.DONE


def deliver(arguments: list[str]) -> int:
    """Segments with the study's first mask, writes a file in place of an export; says what it was asked to do."""
    print(" ".join(arguments), flush=True)
    study, *rest = arguments[arguments.index("--") + 1 :]
    if arguments[0] == "segment":
        made = StudyPaths(Path(option(arguments, "--output")))
        cases = name_cases(Path(volume) for volume in (study, *rest))
        StudyDescription(supports=(), labels=(), background_label=255, settings={}, weights={}, cases=cases).write(made)
        mask = LabelMap(read_volume(Path(study)), ())
        mask = LabelMap(mask.volume.with_array(np.ones(mask.volume.shape, np.uint8)), (Segment.numbered(1),))
        failed = sum(not one_case(made, n, case.case, Path(case.source), mask) for n, case in enumerate(cases))
        return ExitStatus.SOME_FAILED if failed else ExitStatus.DONE
    written = StudyPaths(Path(study)).report if arguments[0] == "report" else Path(rest[0])
    if arguments[:2] == ["export", "nnunet"]:
        written = written / f"Dataset{int(option(arguments, '--dataset-id')):03d}_study"
    written.write_text("delivered", encoding="utf-8")
    return ExitStatus.DONE


def train(output: Path, stages: tuple[str, ...]) -> int:
    emit("started", cases=stages)
    emit("planned", text="About 2 minutes for 100 steps on CPU.", seconds=120)
    for stage in stages:
        emit("case_started", case=stage)
        emit("step", case=stage, step="step 50 of 100, loss 0.100", fraction=0.5, seconds_left=60, loss=0.1)
        emit("checkpoint_written", stage=stage)
        emit("warning", text=f"A warning about the {stage} stage.")
        output.mkdir(parents=True, exist_ok=True)
        (output / f"{stage}.safetensors").write_bytes(b"weights")
        emit("case_done", case=stage, score=0.9, seconds=0.1)
    emit("finished", done=len(stages), failed=0)
    return ExitStatus.DONE


def one_case(study: StudyPaths, number: int, case: str, source: Path, scribbles: LabelMap) -> bool:
    files = study.case(case)
    before: dict[str, float] = {}
    if MODE == "again" and files.is_done and ReviewLedger.load(study.review).state_of(case) == "pending":
        before["score_before"] = read_quality(files.quality).score
    elif files.is_done:
        emit("case_done", case=case, score=0.5, resumed=True)
        return True
    emit("case_started", case=case)
    emit("step", case=case, step="propagate", fraction=0.5)
    if MODE == "slow" and number > 0:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(600)
    if MODE == "die" and number > 0:
        print("Traceback: out of memory", file=sys.stderr, flush=True)
        os._exit(77)
    if MODE == "fail" and number == 0:
        emit("case_failed", case=case, error=f"{source.name}: expected a CT in HU, found noise.")
        return False
    ct = read_volume(source)
    structures = tuple(s for s in scribbles.segments if not s.is_background_stroke)
    array = np.zeros(ct.shape, dtype=np.uint8)
    middle = np.array(ct.shape) // 2
    for offset, structure in enumerate(structures):
        z, y, x = middle + np.array([0, 0, 4 * offset - 4])
        array[z - 3 : z + 3, y - 3 : y + 3, x : x + 3 + len(before)] = structure.value
    write_label_map(LabelMap(ct.with_array(array), structures), files.pseudo_mask)
    score = (0.9, 0.3, 0.6)[number % 3] + 0.1 * len(before)
    measures = tuple(
        StructureQuality(value=s.value, name=s.name, state="found", score=max(score - 0.1 * n, 0))
        for n, s in enumerate(structures)
    )
    write_quality(CaseQuality(case=case, score=score, structures=measures, warnings=()), files.quality)
    emit("case_done", case=case, score=score, seconds=0.1, **before)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
