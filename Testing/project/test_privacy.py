"""Nothing leaves the machine, and what DICOM headers say of the patient stays in them."""

from __future__ import annotations

import gzip
import socket
from pathlib import Path

import pytest

from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.runner.propagation import propagate_batch
from Testing.helpers.dicom_series import write_series
from Testing.helpers.tiny_batch import TinyBatch

pytestmark = pytest.mark.usefixtures("brief_scores")

PATIENT = "Zaphod^Beeblebrox"
TRACES = ("zaphod", "beeblebrox", "19010203")


def texts(study: Path) -> dict[str, str]:
    """The name and content of everything in a study, compressed voxels unfolded."""
    found = {}
    for path in study.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        head, separator, voxels = data.partition(b"\n\n") if path.suffix == ".nrrd" else (data, b"", b"")
        body = gzip.decompress(voxels) if voxels[:2] == b"\x1f\x8b" else voxels
        found[str(path.relative_to(study))] = (head + separator + body).decode("latin-1").lower()
    return found


def test_a_dicom_patient_is_named_nowhere_in_the_study_and_no_socket_is_opened(
    tiny: TinyBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("the network was asked for")

    good = write_series(tmp_path / "first", read_volume(tiny.files.queries[0]), PATIENT)
    broken = write_series(tmp_path / "second", read_volume(tiny.files.queries[1]), PATIENT)
    (broken / "007.dcm").unlink()
    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    received: list[str] = []
    outcome = propagate_batch(
        tiny.request(tmp_path / "study", queries=(good, broken)), lambda event, **fields: received.append(str(fields))
    )
    assert (outcome.done, outcome.failed) == (("first",), ("second",))
    content = texts(tmp_path / "study")
    assert any("first" in text for name, text in content.items() if name.endswith(".log"))
    said = "".join([*content, *content.values(), *received, *capsys.readouterr()]).lower()
    assert "expected slices without gaps" in said
    assert not [trace for trace in TRACES if trace in said]
