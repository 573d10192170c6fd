"""The panel's environment: which Python computes, and its installation in the stand-in, from an index on this host."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import Session, clipped_texts

from OneShotSegLib import __version__
from OneShotSegLib.backend import record
from OneShotSegLib.backend.plan import Kind
from OneShotSegLib.backend.record import WANTED, State
from OneShotSegLib.interface.jobs.interpreter import python_executable
from OneShotSegLib.slicer.jobs import dependencies as dependencies_file
from OneShotSegLib.slicer.jobs.dependencies import Choice, Dependencies
from Testing.helpers.environments import environments, tiny_wheels
from Testing.helpers.package_index import PackageIndex, serve, use

PATIENCE = 120.0
"""Seconds that a child process may take on a machine that others use too."""
LACKING = ("torch>=2.2", "numba>=0.60")


class FakeSettings:
    """QSettings in memory."""

    def __init__(self, file: Path) -> None:
        self._file, self._values = file, dict[str, Any]()

    def value(self, key: str, default: Any = None) -> Any:
        return self._values.get(key, default)

    def setValue(self, key: str, value: Any) -> None:  # noqa: N802
        self._values[key] = value

    def fileName(self) -> str:  # noqa: N802
        return str(self._file)


@pytest.fixture
def index(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """The index, which pip is set up for."""
    wheels = tiny_wheels(tmp_path_factory)
    with serve(wheels / "wheels", wheels / "torch") as served:
        use(served, monkeypatch)
        yield served


Open = Callable[..., Session]


@pytest.fixture
def open_panel(
    application: Any,
    fake_child: Any,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    index: PackageIndex,
) -> Iterator[Open]:
    """Opens the panel of a Slicer whose own Python lacks packages; with an environment, or an empty one."""
    opened: list[Session] = []
    monkeypatch.setattr(Dependencies, "lacking", lambda self: LACKING)

    def open_it(template: str = "empty", mode: str = "normal", python: Path | None = None) -> Session:
        fake_child(mode)
        root = tmp_path / "environment"
        shutil.copytree(environments(tmp_path_factory) / template, root, symlinks=True)
        monkeypatch.setattr(dependencies_file, "environment_folder", lambda settings: root)
        # What is installed here are no real packages: the runs are done by the stand-in for Slicer's Python.
        command = [str(python or python_executable())]
        monkeypatch.setattr(Dependencies, "command", lambda self: command)
        opened.append(Session(application, tmp_path / "settings"))
        return opened[-1]

    yield open_it
    for session in opened:
        session.close()


def prepare_support(session: Session, folder: Path) -> None:
    """Phantoms and scribbles, ready to be propagated."""
    from OneShotSegLib.slicer.sample_data import load_cohort

    support, *queries, scribbles = load_cohort(2, coarseness=3.0)
    session.parameters.support_volume = support
    session.parameters.scribbles = scribbles
    session.parameters.study_folder = str(folder / "study")
    session.parameters.batch_volumes = queries
    session.settle()


def section(session: Session) -> Any:
    return session.panel.environment


def unfold(session: Session) -> None:
    session.ui.environmentCollapsibleButton.collapsed = False
    section(session).update()


def shoot(session: Session, folder: Path, name: str) -> None:
    """Take a screenshot, in which nothing is clipped; ONESHOTSEG_SCREENSHOTS says where it goes."""
    session.screenshot(Path(os.environ.get("ONESHOTSEG_SCREENSHOTS") or folder) / f"{name}.png")
    assert clipped_texts(session.window) == []


def until_done(session: Session) -> None:
    session.until(lambda: not section(session).busy, PATIENCE)


def press_install(session: Session) -> None:
    """Once for the size, once more to install."""
    session.ui.environmentInstallButton.click()
    until_done(session)
    assert session.ui.environmentInstallButton.text == "Download and install", session.message
    session.ui.environmentInstallButton.click()


def state(session: Session) -> State:
    return record.look(section(session)._dependencies.layout).state


def test_a_run_that_lacks_packages_says_their_size_installs_them_and_goes_on(
    open_panel: Open, tmp_path: Path, index: PackageIndex
) -> None:
    session = open_panel()
    prepare_support(session, tmp_path)
    assert session.ui.environmentCollapsibleButton.collapsed
    session.ui.propagateButton.click()
    session.until(lambda: section(session).busy)
    assert not session.ui.environmentCollapsibleButton.collapsed
    assert "see Environment" in session.message
    until_done(session)
    assert index.asked == [], "nothing is fetched before the user agrees"
    assert f"{len(WANTED)} packages" in session.ui.environmentLabel.text
    assert "MB are downloaded" in session.ui.environmentLabel.text
    session.ui.environmentInstallButton.click()
    session.until(lambda: session.panel.controller.busy, PATIENCE)
    assert state(session) is State.READY
    session.until_idle()
    assert session.message.startswith("Done:"), session.message


def test_a_scene_that_was_closed_meanwhile_starts_nothing(open_panel: Open, tmp_path: Path) -> None:
    session = open_panel()
    prepare_support(session, tmp_path)
    session.ui.propagateButton.click()
    session.until(lambda: section(session).busy)
    until_done(session)
    session.ui.environmentInstallButton.click()
    session.application.scene.Clear(0)
    until_done(session)
    session.settle()
    until_done(session)
    assert state(session) is State.READY
    assert not session.panel.controller.busy


def test_an_installation_that_is_cancelled_keeps_what_came_and_goes_on(
    open_panel: Open, index: PackageIndex, tmp_path: Path
) -> None:
    session = open_panel()
    unfold(session)
    assert not session.ui.environmentProgressFrame.isVisibleTo(session.ui.environmentCollapsibleButton)
    index.pause.clear()
    press_install(session)
    session.until(lambda: "Downloading torch" in session.ui.environmentStepLabel.text, PATIENCE)
    assert session.ui.environmentProgressFrame.isVisibleTo(session.ui.environmentCollapsibleButton)
    assert not session.ui.environmentChoiceBox.enabled
    shoot(session, tmp_path, "6-environment")
    session.ui.environmentCancelButton.click()
    until_done(session)
    assert session.message == "Cancelled; what was fetched is kept, and Install goes on from there."
    assert state(session) is State.UNFINISHED
    assert "not finished" in session.ui.environmentLabel.text
    index.pause.set()
    index.asked.clear()
    press_install(session)
    until_done(session)
    assert session.message == "The environment is installed."
    assert index.asked[0][1].startswith("bytes="), "the file goes on where it was"


def test_a_network_that_breaks_off_is_one_sentence(open_panel: Open, index: PackageIndex) -> None:
    session = open_panel()
    index.refuses = True
    press_install(session)
    until_done(session)
    assert "403" in session.message
    assert len(session.message.splitlines()) == 1
    assert session.ui.environmentInstallButton.text == "Install"
    index.refuses = False
    press_install(session)
    until_done(session)
    assert state(session) is State.READY


def test_without_a_network_it_says_so(open_panel: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_panel()
    for name in ("PIP_INDEX_URL", "ONESHOTSEG_TORCH_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    session.ui.environmentInstallButton.click()
    until_done(session)
    assert "the network cannot be reached" in session.message


def test_a_full_disk_is_one_sentence(open_panel: Open) -> None:
    session = open_panel(mode="full disk")
    press_install(session)
    until_done(session)
    assert "of free space" in session.message
    assert "choose a folder on another disk" in session.message


def test_offline_it_installs_from_a_folder(
    open_panel: Open, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_panel()
    for name in ("PIP_INDEX_URL", "ONESHOTSEG_TORCH_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    section(session).use_wheels(tiny_wheels(tmp_path_factory) / "wheels")
    until_done(session)
    assert "nothing is downloaded" in session.ui.environmentLabel.text
    session.ui.environmentInstallButton.click()
    until_done(session)
    assert state(session) is State.READY


def test_a_damaged_environment_is_repaired_by_what_is_damaged(open_panel: Open, index: PackageIndex) -> None:
    session = open_panel("ready")
    assert "Computes in an environment of its own" in session.ui.environmentLabel.text
    assert session.ui.environmentInstallButton.text == "Repair"
    layout = section(session)._dependencies.layout
    next(layout.env.rglob("scipy.py")).write_text("", encoding="utf-8")
    press_install(session)
    until_done(session)
    assert [name.partition("-")[0] for name, _range in index.asked] == ["scipy"]
    assert state(session) is State.READY


def test_an_environment_of_another_version_is_one_sentence_and_one_button(open_panel: Open, tmp_path: Path) -> None:
    session = open_panel("ready")
    layout = section(session)._dependencies.layout
    content = json.loads(layout.record.read_text(encoding="utf-8"))
    layout.record.write_text(
        json.dumps({**content, "version": "0.1.0", "requirements": list(WANTED[1:])}), encoding="utf-8"
    )
    section(session).update()
    assert session.ui.environmentLabel.text == (
        f"The environment was installed for OneShotSeg 0.1.0, and this is {__version__}: press Repair."
    )
    session.ui.environmentInstallButton.click()
    until_done(session)
    session.ui.environmentInstallButton.click()
    until_done(session)
    assert state(session) is State.READY
    assert session.message == "The environment is installed."


def test_removing_it_leaves_slicer_s_python(open_panel: Open) -> None:
    session = open_panel("ready")
    session.ui.environmentRemoveButton.click()
    until_done(session)
    assert session.message == "The environment was removed."
    assert not section(session)._dependencies.layout.env.exists()
    assert not session.ui.environmentRemoveButton.enabled
    assert session.ui.environmentInstallButton.text == "Install"


def test_nothing_is_changed_while_a_run_is_under_way(open_panel: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_panel("ready")
    monkeypatch.setattr(type(session.panel.controller), "busy", property(lambda self: True))
    for button in (session.ui.environmentRemoveButton, session.ui.environmentInstallButton):
        button.click()
        assert session.message == "A run is under way: wait for its end, or cancel it."
        assert not section(session).busy


def test_a_python_that_lacks_packages_is_said_to_with_what_to_do(
    open_panel: Open, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_panel()
    named = record.Layout(environments(tmp_path_factory) / "ready").python
    monkeypatch.setattr(Dependencies, "command", lambda self: [self.named])
    unfold(session)
    box = session.ui.environmentChoiceBox
    box.setCurrentIndex(box.findData("named"))
    box.activated.emit(box.currentIndex)
    assert session.ui.environmentPythonEdit.isVisibleTo(session.ui.environmentCollapsibleButton)
    section(session)._name(str(named))
    until_done(session)
    assert session.ui.environmentLabel.text.startswith(f"OneShotSeg cannot run in {named} (")
    assert session.ui.environmentLabel.text.endswith(": press Install for an environment of its own.")
    prepare_support(session, tmp_path)
    session.ui.propagateButton.click()
    session.until(lambda: "cannot run in" in session.message, PATIENCE)
    assert not session.panel.controller.busy


def test_what_the_chosen_python_can_do_is_shown(open_panel: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_panel()
    monkeypatch.setattr(Dependencies, "command", lambda self: [sys.executable])
    session.ui.environmentCheckButton.click()
    until_done(session)
    text = session.ui.environmentDetailsLabel.text
    assert "torch, loaded: " in text
    assert "Memory: " in text


@pytest.mark.skipif(os.name == "nt", reason="process numbers are looked up in /proc")
def test_closing_the_application_ends_an_installation(open_panel: Open, index: PackageIndex) -> None:
    session = open_panel()
    index.pause.clear()
    press_install(session)
    session.until(lambda: "Downloading torch" in session.ui.environmentStepLabel.text, PATIENCE)
    child = section(session)._worker._child
    session.panel.environment.close()
    assert child.exit_status is not None


def made(tmp_path: Path, lacks: tuple[str, ...] = ()) -> Dependencies:
    return Dependencies(FakeSettings(tmp_path / "Slicer.ini"), ("a", "b"), lambda text: text not in lacks)


def test_slicer_s_own_python_is_taken_if_it_has_everything_and_an_own_one_if_not(tmp_path: Path) -> None:
    assert made(tmp_path).kind is Kind.SLICER
    assert made(tmp_path).ensure()
    lacking = made(tmp_path, ("b",))
    assert lacking.kind is Kind.OWN
    assert lacking.missing() == ("a", "b")
    lacking.choice = Choice.SLICER
    assert lacking.missing() == ("b",)


def test_without_packaging_it_is_enough_that_a_package_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    assert dependencies_file.is_satisfied("numpy>=1.26")
    assert not dependencies_file.is_satisfied("no-such-package>=1")


def test_the_environment_is_beside_the_settings(tmp_path: Path) -> None:
    assert made(tmp_path).layout.root == tmp_path / "OneShotSeg"


def test_an_environment_that_is_installed_is_used_even_if_slicer_has_everything(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shutil.copytree(environments(tmp_path_factory) / "ready", tmp_path / "OneShotSeg", symlinks=True)
    own = made(tmp_path)
    assert (own.kind, own.missing()) == (Kind.OWN, ())
    assert own.command()[-1] == str(own.layout.python)


def test_a_named_python_runs_without_what_slicer_s_launcher_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "Slicer"
    monkeypatch.setenv("SLICER_HOME", str(home))
    monkeypatch.setenv("PYTHONHOME", str(home / "lib" / "Python"))
    monkeypatch.setenv("SSL_CERT_FILE", str(home / "share" / "Slicer.crt"))
    monkeypatch.setenv("LD_LIBRARY_PATH", os.pathsep.join([str(home / "lib"), "/opt/lib"]))
    named = made(tmp_path)
    assert "PYTHONHOME" in named.environment(), "Slicer's own Python needs it"
    named.choice = Choice.NAMED
    assert named.missing() == ("python",)
    named.named = sys.executable
    assert named.missing() == ()
    assert named.command() == [sys.executable]
    environment = named.environment()
    assert not {"PYTHONHOME", "SSL_CERT_FILE", "SLICER_HOME"} & set(environment)
    assert environment["LD_LIBRARY_PATH"] == "/opt/lib"
    assert (Path(environment["PYTHONPATH"]) / "OneShotSegLib").is_dir()


def test_every_job_of_the_panel_runs_in_the_chosen_python(open_panel: Open, tmp_path: Path) -> None:
    chosen = tmp_path / "bin" / "chosen"
    shutil.copy(python_executable(), chosen)
    chosen.write_text(chosen.read_text().replace("exec", f"echo >> {tmp_path}/calls; exec"), encoding="utf-8")
    session = open_panel("ready", python=chosen)

    def calls() -> int:
        file = tmp_path / "calls"
        return len(file.read_text().splitlines()) if file.is_file() else 0

    prepare_support(session, tmp_path)
    session.ui.propagateButton.click()
    session.until(lambda: session.panel.controller.busy, PATIENCE)
    session.until_idle()
    assert session.message.startswith("Done:"), session.message
    after_run = calls()
    assert after_run >= 1
    session.ui.trainPrnetButton.click()
    session.until(lambda: session.panel.controller.busy, PATIENCE)
    session.until_idle()
    assert calls() == after_run + 1
    session.panel.live.close()
    session.panel.live.ask("hello", lambda answer: None, lambda error: None)
    session.until(lambda: calls() == after_run + 2, PATIENCE)
