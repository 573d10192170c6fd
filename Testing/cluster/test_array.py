"""The SLURM example, run by a stand-in for `sbatch`, and the container file's promises."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "cluster" / "oneshotseg-array.sbatch"
CONTAINER = ROOT / "cluster" / "Containerfile"
bash = pytest.mark.skipif(shutil.which("bash") is None or os.name == "nt", reason="needs bash")


def sbatch(*words: object, cwd: Path, command: str) -> list[subprocess.CompletedProcess[str]]:
    """Run each task of the array one after another, with the variables that SLURM sets."""
    text = SCRIPT.read_text(encoding="utf-8")
    first, last = map(int, re.search(r"^#SBATCH --array=(\d+)-(\d+)$", text, re.M).groups())  # type: ignore[union-attr]
    cpus = re.search(r"^#SBATCH --cpus-per-task=(\d+)$", text, re.M)
    assert cpus is not None
    done = []
    for number in range(first, last + 1):
        variables = {
            "SLURM_ARRAY_TASK_ID": str(number),
            "SLURM_ARRAY_TASK_MIN": str(first),
            "SLURM_ARRAY_TASK_COUNT": str(last - first + 1),
            "SLURM_CPUS_PER_TASK": cpus[1],
            "ONESHOTSEG": command,
        }
        done.append(
            subprocess.run(
                ["bash", str(SCRIPT), *map(str, words)],
                cwd=cwd,
                env={**os.environ, **variables},
                capture_output=True,
                encoding="utf-8",
            )
        )
    return done


@pytest.fixture
def recorder(tmp_path: Path) -> str:
    """A command that writes its words and threads, one per line, in place of oneshotseg."""
    program = tmp_path / "recorder.py"
    program.write_text(
        "import os, sys; print(os.environ['OMP_NUM_THREADS'], *sys.argv[1:], sep='\\n')", encoding="utf-8"
    )
    return f"{sys.executable} {program}"


@bash
@pytest.mark.parametrize("count", [2, 4, 9])
def test_the_tasks_do_every_ct_once_each_into_a_study_of_its_own(tmp_path: Path, recorder: str, count: int) -> None:
    cts = tmp_path / "cts"
    cts.mkdir()
    names = [f"ct {number} ö.nii.gz" for number in range(count)]
    for name in names:
        (cts / name).touch()
    (cts / ".hidden").touch()
    runs = sbatch("s.nii.gz", "s.seg.nrrd", cts, tmp_path / "out", "--device", "cpu", cwd=tmp_path, command=recorder)
    assert all(run.returncode == 0 for run in runs), [run.stderr for run in runs]
    words = [run.stdout.splitlines() for run in runs]
    idle = [lines for lines in words if "nothing to do" in lines[0]]
    assert len(idle) == max(4 - count, 0)
    busy = [lines for lines in words if lines not in idle]
    given = [line.rpartition("/")[2] for lines in busy for line in lines[lines.index("--") + 1 :]]
    assert sorted(given) == names
    assert {lines[0] for lines in busy} == {"4"}, "as many threads as processors"
    studies = [lines[lines.index("--output") + 1] for lines in busy]
    assert studies == [str(tmp_path / "out" / f"part-00{number}") for number in range(len(busy))]
    assert all("--device" in lines[: lines.index("--")] for lines in busy), "further options are handed on"


@bash
def test_too_few_words_are_an_error(tmp_path: Path, recorder: str) -> None:
    (run, *_others) = sbatch("support", cwd=tmp_path, command=recorder)
    assert run.returncode == 2
    assert "Expected SUPPORT SCRIBBLES CT_FOLDER OUTPUT" in run.stderr


@bash
def test_a_task_without_slurm_does_all(tmp_path: Path, recorder: str) -> None:
    (tmp_path / "cts").mkdir()
    (tmp_path / "cts" / "a").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    run = subprocess.run(
        ["bash", str(SCRIPT), "s", "t", str(tmp_path / "cts"), "out"],
        env={**environment, "ONESHOTSEG": recorder},
        capture_output=True,
        encoding="utf-8",
    )
    assert run.stdout.splitlines()[-1].endswith("/a"), run.stderr


@bash
@pytest.mark.slow
def test_the_array_does_a_phantom_cohort(tmp_path: Path) -> None:
    from OneShotSegLib import phantom

    files = phantom.write_cohort(tmp_path / "cohort", 3, coarseness=3.0)
    cts = tmp_path / "cts"
    cts.mkdir()
    for query in files.queries:
        shutil.copy(query, cts)
    command = f"{sys.executable} -m OneShotSegLib"
    runs = sbatch(
        files.support,
        files.scribbles,
        cts,
        tmp_path / "out",
        "--weights",
        "phantom",
        "--device",
        "cpu",
        cwd=ROOT,
        command=command,
    )
    assert [run.returncode for run in runs] == [0] * 4, [run.stderr for run in runs]
    masks = sorted((tmp_path / "out").glob("part-*/cases/*/pseudo.seg.nrrd"))
    assert len(masks) == len(files.queries)


def test_the_container_is_made_of_files_that_are_there_and_a_python_that_all_extras_have_wheels_for() -> None:
    text = CONTAINER.read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--from)(.+)$", text, re.M)
    assert copied
    for line in copied:
        *sources, _target = line.split()
        assert all((ROOT / source).exists() for source in sources), line
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"\[([a-z,]+)\]\"", text)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert re.search(r"^ARG PYTHON=3\.1[1-3]$", text, re.M)
    assert re.search(r"^USER \d+$", text, re.M), "it does not run as root"
    assert 'ENTRYPOINT ["oneshotseg"]' in text


@pytest.mark.slow
def test_the_container_can_be_built(tmp_path: Path) -> None:
    engine = next((name for name in ("docker", "podman") if works(name)), None)
    if engine is None:
        pytest.skip("no engine for containers is at work here")
    done = subprocess.run([engine, "build", "-q", "-f", str(CONTAINER), "-t", "oneshotseg-test", str(ROOT)])
    assert done.returncode == 0
    done = subprocess.run([engine, "run", "--rm", "-u", "4242", "oneshotseg-test", "doctor"])
    assert done.returncode == 0


def works(engine: str) -> bool:
    return shutil.which(engine) is not None and subprocess.run([engine, "info"], capture_output=True).returncode == 0
