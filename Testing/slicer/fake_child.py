"""Stands in for `python -m OneShotSegLib propagate`: says the same events, writes the same files, computes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from OneShotSegLib.imaging.files import find_volumes, read_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.study.description import StudyDescription, name_cases
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, write_quality

MODE = os.environ.get("FAKE_CHILD", "")


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, "new_field": 1, **fields}), flush=True)


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def main(words: list[str]) -> int:
    if MODE == "bad":
        print("a warning", file=sys.stderr)
        print("weights: expected a folder, found none.", file=sys.stderr)
        return 2
    if words[:1] != ["-m"] or "propagate" not in words:
        print('{"devices": [{"name": "cpu", "label": "CPU", "free": 2147483648, "total": 4294967296}]}')
        return 0
    study = StudyPaths(Path(option(words, "--output")))
    queries = [Path(word) for word in words[words.index("--") + 1 :]]
    cases = name_cases(path for query in queries for path in find_volumes(query))
    scribbles = read_label_map(option(words, "--scribbles"))
    StudyDescription(supports=(), labels=(), background_label=255, settings={}, weights={}, cases=cases).write(study)
    print("this line is no event", flush=True)
    say("started", cases=[case.case for case in cases], study=str(study.root))
    say("something_new", of="a later version")
    failed = sum(not one_case(study, n, case.case, Path(case.source), scribbles) for n, case in enumerate(cases))
    say("finished", done=len(cases) - failed, failed=failed)
    return 1 if failed else 0


def one_case(study: StudyPaths, number: int, case: str, source: Path, scribbles: LabelMap) -> bool:
    files = study.case(case)
    if files.is_done:
        say("case_done", case=case, score=0.5, resumed=True)
        return True
    say("case_started", case=case)
    say("step", case=case, step="propagate", fraction=0.5)
    if MODE == "slow" and number > 0:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(600)
    if MODE == "die" and number > 0:
        print("Traceback: out of memory", file=sys.stderr, flush=True)
        os._exit(77)
    if MODE == "fail" and number == 0:
        say("case_failed", case=case, error=f"{source.name}: expected a CT in HU, found noise.")
        return False
    ct = read_volume(source)
    structures = tuple(s for s in scribbles.segments if not s.is_background_stroke)
    array = np.zeros(ct.shape, dtype=np.uint8)
    middle = np.array(ct.shape) // 2
    for offset, structure in enumerate(structures):
        z, y, x = middle + np.array([0, 0, 4 * offset - 4])
        array[z - 3 : z + 3, y - 3 : y + 3, x : x + 3] = structure.value
    write_label_map(LabelMap(ct.with_array(array), structures), files.pseudo_mask)
    score = (0.9, 0.3, 0.6)[number % 3]
    measures = tuple(
        StructureQuality(value=s.value, name=s.name, state="found", score=max(score - 0.1 * n, 0))
        for n, s in enumerate(structures)
    )
    write_quality(CaseQuality(case=case, score=score, structures=measures, warnings=()), files.quality)
    say("case_done", case=case, score=score, seconds=0.1)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
