"""An environment is installed, gone on with, repaired and removed, from an index on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from OneShotSegLib import __version__
from OneShotSegLib.backend import commands, download, installation, installed, pip, record
from OneShotSegLib.backend.__main__ import main
from OneShotSegLib.backend.commands import Wish
from OneShotSegLib.backend.pip import Source
from OneShotSegLib.backend.plan import Plan
from OneShotSegLib.backend.record import WANTED, State
from OneShotSegLib.errors import InputError
from OneShotSegLib.exit_status import ExitStatus
from Testing.helpers.environments import tiny_plan
from Testing.helpers.package_index import FILLING, VERSION, PackageIndex, build_all, build_wheel, package_names

ROOT = Path(__file__).parents[2]


class Events:
    """Keeps what is emitted."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: str, **fields: Any) -> None:
        self.all.append((event, fields))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [fields for event, fields in self.all if event == kind]


def names_of(env: Path) -> list[str]:
    return sorted(path.name for path in installed.site_packages(env).glob("*.dist-info"))


def make_bare(layout: record.Layout) -> None:
    shutil.rmtree(layout.env)
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", str(layout.env)], check=True)


def state(wish: Wish) -> State:
    return record.look(wish.layout).state


def test_pip_itself_installs_repairs_and_stays_as_it_is(
    index: PackageIndex, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one test with the real pip: PyTorch's own index, settings that send packages elsewhere, damage, offline."""
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_USER", "1")
    plan, layout, outside = tiny_plan(), record.Layout(tmp_path / "environment"), names_of(Path(sys.prefix))
    work = installation.prepare(plan, layout, Source(), said=(Path(sys.executable),))
    site = installed.site_packages(layout.env)
    pip_before = next(site.glob("pip-*.dist-info")).name
    assert {name: work.wanted[name] for name in ("torch", "numpy")} == {"torch": "99.0+cpu", "numpy": VERSION}
    installation.install(plan, layout, work)
    assert record.look(layout).state is State.READY

    (site / "scipy.py").write_text("", encoding="utf-8")
    (next(site.glob("typer-*.dist-info")) / "RECORD").unlink()  # as pip leaves a package in which it was ended
    for name in ("PIP_INDEX_URL", "ONESHOTSEG_TORCH_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    offline = Source(folder=wheels / "wheels")
    work = installation.repair(plan, layout, offline)
    assert {wheel.name for wheel in work.missing} == {"scipy", "typer", "torch"}, "there, torch is the usual build"
    assert work.download_bytes == 0
    installation.install(plan, layout, work)
    assert {installed.normalized(name) for name in package_names()} <= set(installed.whole_packages(site))
    assert next(site.glob("pip-*.dist-info")).name == pip_before
    assert names_of(Path(sys.prefix)) == outside
    assert not (tmp_path / "elsewhere").exists()


def test_a_newer_pip_goes_into_a_folder_of_its_own_where_the_environment_s_would_fetch_everything(
    index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = [sys.executable]
    assert pip._version([*python, "-m", "pip"]) > (20, 0)
    monkeypatch.setattr(pip, "_version", lambda command: (26, 3))
    assert pip.tool(python, tmp_path / "pip", Source()) == [*python, "-m", "pip"]
    monkeypatch.setattr(pip, "_version", lambda command: (25, 9))
    index.folder = tmp_path / "wheels"
    assert pip.tool(python, tmp_path / "pip", Source()) == [*python, "-m", "pip"], "there is none to be had"
    build_wheel(index.folder, "pip", package=True)
    assert pip.tool(python, tmp_path / "pip", Source(folder=tmp_path)) == [*python, "-m", "pip"], (
        "offline it is not needed"
    )
    assert pip.tool(python, tmp_path / "pip", Source()) == [*python, str(tmp_path / "pip" / "pip")]


def test_the_size_is_said_before_anything_is_fetched(wish: Wish, index: PackageIndex) -> None:
    events = Events()
    commands.describe(wish, events)
    (planned,) = events.of("planned")
    assert planned["packages"] == len(WANTED)
    assert FILLING * len(WANTED) < planned["download_bytes"] < 2 * FILLING * len(WANTED)
    assert "MB are downloaded" in planned["text"]
    assert state(wish) is State.UNFINISHED
    assert not wish.layout.downloads.exists()
    assert index.asked == []

    commands.install(wish, events)
    assert state(wish) is State.READY
    found = record.read(wish.layout)
    assert found is not None
    assert (found.version, found.requirements) == (__version__, WANTED)
    assert not wish.layout.downloads.exists(), "what was fetched takes no space any more"
    fractions = [step["fraction"] for step in events.of("step")]
    assert fractions[-1] == 1.0
    assert events.all[-1] == ("finished", {"done": 1, "failed": 0})


def test_what_is_installed_is_not_fetched_again(ready: Wish, index: PackageIndex) -> None:
    events = Events()
    commands.install(ready, events)
    assert events.of("planned")[0]["text"].startswith("Nothing is missing")
    assert index.asked == []
    assert state(ready) is State.READY


def test_a_repair_fetches_what_is_damaged_and_nothing_else(ready: Wish, index: PackageIndex) -> None:
    site = installed.site_packages(ready.layout.env)
    (site / "scipy.py").write_text("", encoding="utf-8")
    (site / "rich.py").unlink()
    shutil.rmtree(next(site.glob("numba-*.dist-info")))
    broken = next(site.glob("typer-*.dist-info"))
    (broken / "RECORD").unlink()  # as pip leaves a package in whose installation it was ended
    commands.install(ready, Events(), is_repair=True)
    assert {name.partition("-")[0] for name, _range in index.asked if FILLING} == {"scipy", "rich", "numba", "typer"}
    whole = installed.whole_packages(site)
    assert {installed.normalized(name) for name in package_names()} <= set(whole)


def test_an_environment_whose_python_went_away_is_made_anew(ready: Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ready.layout.python.parent.glob("python*"):
        program.unlink()
    assert state(ready) is State.BROKEN
    assert "no longer there: repair it" in record.look(ready.layout).sentence()
    monkeypatch.setattr(installation, "make_environment", lambda plan, layout, source, said: make_bare(layout))
    commands.install(ready, Events(), is_repair=True)
    assert state(ready) is State.READY


def test_an_environment_of_another_version_is_outdated_and_says_so(ready: Wish, index: PackageIndex) -> None:
    content = json.loads(ready.layout.record.read_text(encoding="utf-8"))
    content |= {"version": "0.1.0", "requirements": WANTED[:3]}
    ready.layout.record.write_text(json.dumps(content), encoding="utf-8")
    found = record.look(ready.layout)
    assert found.state is State.OUTDATED
    assert found.sentence() == (
        f"The environment was installed for OneShotSeg 0.1.0, and this is {__version__}: repair it."
    )
    commands.install(ready, Events(), is_repair=True)
    assert state(ready) is State.READY
    assert index.asked == [], "it has all that this version needs"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"requirements": 3, "version": "1"}'])
def test_a_record_that_cannot_be_read_is_none(ready: Wish, text: str) -> None:
    ready.layout.record.write_text(text, encoding="utf-8")
    assert state(ready) is State.UNFINISHED


def test_a_download_that_breaks_off_is_an_error_and_goes_on_where_it_was(
    wish: Wish, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.01)
    index.breaks_after = 0
    with pytest.raises(InputError, match="the network cannot be reached, or broke off"):
        commands.install(wish, Events())
    assert len(index.asked) == download.TRIES
    index.breaks_after = 15_000
    index.asked.clear()
    commands.install(wish, Events())  # each attempt brings a little: it is not given up
    ranges = [asked for name, asked in index.asked if name.startswith("torch")]
    assert ranges[:3] == ["", "bytes=15000-", "bytes=30000-"]
    assert state(wish) is State.READY


def test_what_was_fetched_before_the_network_broke_off_is_kept(
    wish: Wish, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.01)
    plan = wish.plan()
    work = installation.prepare(plan, wish.layout, wish.source, said=wish.said)
    first = download.fetch(work.missing[0], wish.layout.downloads)
    left = installation.prepare(plan, wish.layout, wish.source, said=wish.said)
    assert left.download_bytes == work.download_bytes - first.stat().st_size
    index.asked.clear()
    installation.install(plan, wish.layout, left)
    assert first.name not in [name for name, _range in index.asked]


def test_a_server_that_refuses_is_named(wish: Wish, index: PackageIndex) -> None:
    index.refuses = True
    with pytest.raises(InputError, match=r"(403|Forbidden)"):
        commands.install(wish, Events())
    assert state(wish) is State.UNFINISHED


def test_without_a_network_there_is_one_sentence(
    wish: Wish, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_INDEX_URL", "ONESHOTSEG_TORCH_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    with pytest.raises(InputError) as caught:
        commands.describe(wish, Events())
    assert "the network cannot be reached" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_where_pytorch_s_own_index_is_blocked_the_usual_build_is_taken_and_that_is_said(
    wish: Wish, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONESHOTSEG_TORCH_INDEX", "http://127.0.0.1:9/torch")
    events = Events()
    commands.describe(wish, events)
    assert "the usual build is taken" in events.of("warning")[0]["text"]
    assert events.of("planned")[0]["packages"] == len(WANTED)


def test_offline_it_installs_from_a_folder_of_wheels(
    wish: Wish, wheels: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_INDEX_URL", "ONESHOTSEG_TORCH_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    events = Events()
    offline = Wish(root=wish.root, base=wish.base, wheels=wheels / "wheels")
    commands.install(offline, events)
    assert "nothing is downloaded" in events.of("planned")[0]["text"]
    assert state(offline) is State.READY
    assert (wheels / "wheels").is_dir()
    assert list((wheels / "wheels").glob("torch-*.whl")), "the folder is the user's, and stays as it is"


def test_a_folder_that_lacks_a_wheel_is_said_to(wish: Wish, index: PackageIndex, tmp_path: Path) -> None:
    for file in build_all(tmp_path / "some"):
        if file.name.startswith("numba"):
            file.unlink()
    with pytest.raises(InputError, match="numba"):
        commands.install(Wish(root=wish.root, base=wish.base, wheels=tmp_path / "some"), Events())
    with pytest.raises(InputError, match="expected a folder of wheels, found none"):
        commands.install(Wish(root=wish.root, base=wish.base, wheels=tmp_path / "none"), Events())


def test_the_python_is_one_that_the_folder_s_pytorch_is_for(tmp_path: Path) -> None:
    plan = replace(tiny_plan(), pythons=("3.12", "3.13", "3.11"))
    assert installation._fitting(plan, Source()) == plan
    assert installation._fitting(plan, Source(folder=tmp_path)) == plan
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    assert installation._fitting(plan, Source(folder=tmp_path)).pythons == ("3.11",)
    with pytest.raises(InputError, match=r"expected PyTorch for Python 3\.12, found it for 3\.11"):
        installation._fitting(replace(plan, pythons=("3.12",)), Source(folder=tmp_path))


def test_a_wheel_of_another_content_than_announced_is_not_installed(
    wish: Wish, index: PackageIndex, tmp_path: Path
) -> None:
    plan = wish.plan()
    work = installation.prepare(plan, wish.layout, wish.source, said=wish.said)
    wheel = next(wheel for wheel in work.missing if wheel.name == "rich")
    index.folder = tmp_path
    build_wheel(tmp_path, "rich")
    with pytest.raises(InputError, match="not what was announced"):
        download.fetch(wheel, wish.layout.downloads)
    assert not list(wish.layout.downloads.glob("rich*"))


def test_too_little_space_is_said_before_anything_is_fetched(
    wish: Wish, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(InputError, match=r"expected 0\.0 GB of free space"):
        commands.install(wish, Events())
    assert index.asked == []


def test_a_disk_that_fills_up_in_a_download_is_said_and_what_came_is_kept(
    wish: Wish, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def write(file: Any, chunk: bytes, part: Path) -> None:
        written.append(file.write(chunk[:500]))
        raise InputError("the disk is full")

    monkeypatch.setattr(download, "_write", write)
    with pytest.raises(InputError, match="the disk is full"):
        commands.install(wish, Events())
    assert sum(file.stat().st_size for file in wish.layout.downloads.glob("*.part")) == 500
    monkeypatch.undo()


def test_an_error_of_the_disk_is_a_sentence_with_what_to_do(tmp_path: Path) -> None:
    class FullDisk:
        def write(self, chunk: bytes) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"free some space.*what was fetched is kept\.$"):
        download._write(FullDisk(), b"x", tmp_path / "file")


def test_packages_that_do_not_load_are_an_error(ready: Wish) -> None:
    site = installed.site_packages(ready.layout.env)
    (site / "numba.py").write_text("raise RuntimeError('no AVX')", encoding="utf-8")
    with pytest.raises(InputError, match="numba does not load: no AVX"):
        installation.load([str(ready.layout.python)])


def test_removing_frees_everything_and_leaves_what_is_not_ours(ready: Wish) -> None:
    root = ready.layout.root
    (root / "notes.txt").write_text("mine", encoding="utf-8")
    assert commands.remove(ready) > FILLING * len(WANTED)
    assert [path.name for path in root.iterdir()] == ["notes.txt"]
    assert state(ready) is State.ABSENT
    (root / "notes.txt").unlink()
    commands.remove(ready)
    assert not root.exists()
    assert commands.remove(ready) == 0


def test_two_do_not_install_at_once(wish: Wish) -> None:
    with record.exclusive(wish.layout), pytest.raises(InputError, match="another Slicer is installing there"):
        commands.install(wish, Events())
    with record.exclusive(wish.layout):
        pass


def test_a_path_that_windows_could_not_write_is_refused_first(
    wish: Wish, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from OneShotSegLib.doctor.finding import warning

    files = list((wheels / "wheels").glob("*.whl"))
    installation.require_short_paths(wish.layout, files)
    monkeypatch.setattr(installation, "long_paths", lambda: iter([warning("Long paths", "off")]))
    installation.require_short_paths(record.Layout(Path("/short")), files)
    with pytest.raises(InputError, match="expected paths of less than 260 characters"):
        installation.require_short_paths(record.Layout(Path("/", *["a long folder"] * 18)), files)


@pytest.mark.skipif(os.name == "nt", reason="on Windows the process tree is ended")
def test_a_process_that_is_cancelled_ends_at_once_and_the_next_goes_on(wish: Wish, index: PackageIndex) -> None:
    index.pause.clear()
    words = ["install", "--folder", str(wish.root), "--base", sys.executable, "--events", "json"]
    code = "import sys; from Testing.helpers.environments import HERE, stand_in_for_pip; stand_in_for_pip(); "
    code += "from OneShotSegLib.backend import plan, __main__; plan.PYTHONS = (HERE,); sys.exit(__main__.main())"
    command = [sys.executable, "-c", code, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while not index.asked and time.monotonic() < end:
            time.sleep(0.02)
        assert index.asked, "the download has begun"
        while not list(wish.layout.downloads.glob("*.part")) and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(2)
        assert process.wait(30) == ExitStatus.CANCELLED
        assert process.stderr is not None
        assert b"what was fetched is kept" in process.stderr.read()
    (part,) = wish.layout.downloads.glob("*.part")
    size = part.stat().st_size
    assert size > 0
    index.pause.set()
    index.asked.clear()
    assert main(words) == ExitStatus.DONE
    assert index.asked[0][1] == f"bytes={size}-"


def test_the_commands_without_a_package_say_what_they_did(
    ready: Wish, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ["--folder", str(ready.root)]
    assert main(["plan", "--base", sys.executable, *folder]) == ExitStatus.DONE
    assert "Nothing is missing" in capsys.readouterr().err
    assert main(["show", *folder]) == ExitStatus.SOME_FAILED, "these packages compute nothing"
    text = capsys.readouterr().out
    assert "The environment is installed." in text
    assert "error    torch, loaded" in text
    assert main(["show", "--events", "json", *folder]) == ExitStatus.SOME_FAILED
    shown = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["can_run"]) == ("ready", False)
    assert main(["remove", *folder]) == ExitStatus.DONE
    assert "are free again" in capsys.readouterr().err
    assert main(["install", "--wheels", "/no/such", *folder]) == ExitStatus.BAD_INPUT
    assert "expected a folder of wheels" in capsys.readouterr().err


def test_a_python_that_does_not_answer_is_said_to(tmp_path: Path) -> None:
    shown = commands.examine([str(tmp_path / "python")])
    assert shown["can_run"] is False
    assert "found one that does not answer" in shown["findings"][0]["text"]


def test_this_python_can_do_what_the_tests_do() -> None:
    shown = commands.examine([sys.executable])
    assert shown["can_run"]
    names = [finding["name"] for finding in shown["findings"]]
    assert {"Python", "torch, loaded", "CPU", "Memory"} <= set(names)


def test_the_plan_of_another_processor_makes_the_environment_anew(ready: Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def make(plan: Plan, layout: record.Layout, source: Source, said: object) -> None:
        made.append(layout.env)
        assert not layout.env.exists()
        raise InputError("enough")

    monkeypatch.setattr(installation, "make_environment", make)
    with pytest.raises(InputError, match="enough"):
        installation.repair(replace(tiny_plan(), processor="another"), ready.layout, Source())
    assert made == [ready.layout.env]
