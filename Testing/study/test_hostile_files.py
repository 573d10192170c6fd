"""Whatever comes from outside ends in a result or in one clear sentence; `--run-slow` tries a hundred times as much."""

from __future__ import annotations

import json
import os
import re
import string
import struct
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given
from hypothesis import strategies as st

from OneShotSegLib.errors import InputError
from OneShotSegLib.events import KINDS, Event, parse_event
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.jobs.progress import RunProgress
from OneShotSegLib.networks.official_checkpoint import read_official
from OneShotSegLib.networks.weights import load_weights
from OneShotSegLib.report.html import write_report
from OneShotSegLib.runner.run_log import run_log
from OneShotSegLib.study.case_state import begin
from OneShotSegLib.study.csv_table import read_table, write_table
from OneShotSegLib.study.description import StudyCase, StudyDescription, name_cases
from OneShotSegLib.study.layout import StudyPaths, read_json, write_json
from OneShotSegLib.study.naming import safe_name, unique_names
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, read_quality, write_quality
from OneShotSegLib.study.review import ReviewEntry, ReviewLedger

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
TEXTS = st.text(max_size=40) | st.sampled_from(
    ["=1+1", "<script>alert(1)</script>", "../../x", "a\r\nb", "\x00", "\ud800"]
)


def check_one_sentence(error: InputError) -> None:
    assert str(error)
    assert "\n" not in str(error)
    assert "Traceback" not in str(error)


# Images


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@given(
    kind=st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32, np.float64]),
    spacing=st.tuples(*[st.floats(0.05, 50)] * 3),
    origin=st.tuples(*[st.floats(-1e5, 1e5)] * 3),
    axes=st.sampled_from(["LPS", "RAS", "SAL", "PIR", "IPL", "ASR"]),
    shape=st.tuples(*[st.integers(2, 6)] * 3),
)
def test_every_pixel_type_orientation_and_spacing_is_read_at_its_place(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, kind: type, spacing: Any, origin: Any, axes: str, shape: Any
) -> None:
    if suffix == ".nii.gz" and kind is np.int8:
        kind = np.int16
    marked = np.zeros(shape, dtype=kind)
    marked[-1, -1, -1] = 100
    image = sitk.GetImageFromArray(marked)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    stored = sitk.DICOMOrient(image, axes)
    path = tmp_path_factory.mktemp("image") / f"a{suffix}"
    sitk.WriteImage(stored, str(path))
    volume = read_volume(path)
    array = np.asarray(volume.array)
    index = np.array(np.unravel_index(int(array.argmax()), array.shape))
    there = image.TransformIndexToPhysicalPoint(tuple(int(n) - 1 for n in shape[::-1]))
    scale = max(1.0, float(np.abs(origin).max()))
    np.testing.assert_allclose(volume.to_world(index)[::-1], there, atol=1e-4 * scale)


@given(field=st.integers(0, 347), value=st.binary(min_size=1, max_size=8))
def test_any_nifti_header_gives_an_image_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, field: int, value: bytes
) -> None:
    path = tmp_path_factory.mktemp("header") / "a.nii"
    write_volume(Volume.create(np.zeros((4, 5, 6), np.int16)), path)
    data = bytearray(path.read_bytes())
    data[field : field + len(value)] = value
    path.write_bytes(data)
    try:
        assert read_volume(path).array.ndim == 3
    except InputError as error:
        check_one_sentence(error)


@given(
    st.dictionaries(
        st.sampled_from(["sizes", "type", "dimension", "space directions", "encoding", "kinds", "space origin", "x"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
        | st.sampled_from(
            ["100000 100000 100000", "-1 4 4", "(1,0,0) (0,1,0) (nan,0,1)", "999999999999", "raw", "double"]
        ),
        max_size=4,
    )
)
def test_any_nrrd_header_gives_an_image_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, changes: Any) -> None:
    fields = {
        "type": "short",
        "dimension": "3",
        "sizes": "4 4 4",
        "space": "left-posterior-superior",
        "space directions": "(1,0,0) (0,1,0) (0,0,1)",
        "space origin": "(0,0,0)",
        "endian": "little",
        "encoding": "raw",
    } | changes
    path = tmp_path_factory.mktemp("header") / "a.nrrd"
    header = "NRRD0004\n" + "".join(f"{name}: {text}\n" for name, text in fields.items()) + "\n"
    path.write_bytes(header.encode() + bytes(128))
    try:
        read_volume(path)
    except InputError as error:
        check_one_sentence(error)


HUGE = {
    "a.nrrd": "NRRD0004\ntype: short\ndimension: 3\nsizes: 100000 100000 100000\nendian: little\nencoding: gzip\n\n",
    "a.mha": "ObjectType = Image\nNDims = 3\nDimSize = 100000 100000 100000\nElementType = MET_SHORT\n"
    "CompressedData = True\nElementDataFile = LOCAL\n",
}


@pytest.mark.skipif(os.name == "nt", reason="limits memory by POSIX means")
def test_a_header_of_a_million_gigabytes_allocates_nothing(tmp_path: Path) -> None:
    for name, header in HUGE.items():
        (tmp_path / name).write_bytes(header.encode() + bytes(100))
    nifti = bytearray(352)
    struct.pack_into("<i", nifti, 0, 540)
    nifti = bytearray(544)
    struct.pack_into("<i8sHH8q", nifti, 0, 540, b"n+2\0\r\n\x1a\n", 4, 16, 3, 100_000, 100_000, 100_000, 1, 1, 1, 1)
    struct.pack_into("<q", nifti, 168, 544)
    (tmp_path / "a.nii").write_bytes(nifti)
    script = f"""
        import resource
        from pathlib import Path
        from OneShotSegLib.errors import InputError
        from OneShotSegLib.imaging.files import read_volume
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in sorted(Path({str(tmp_path)!r}).iterdir()):
            try:
                read_volume(path)
            except InputError as error:
                print(error)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 100_000
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, encoding="utf-8", check=True
    )
    assert len(done.stdout.splitlines()) == 3


@given(
    names=st.lists(TEXTS.filter(lambda text: "\x00" not in text and text.isprintable()), min_size=1, max_size=4),
    values=st.lists(st.integers(1, 255), min_size=4, max_size=4, unique=True),
)
def test_segments_of_any_name_come_back_and_name_no_file(
    tmp_path_factory: pytest.TempPathFactory, names: Any, values: Any
) -> None:
    segments = tuple(
        Segment(value=v, name=n, color=(0.5, 0.5, 0.5))
        for n, v in zip(names, values, strict=False)
        if n.strip() == n and n
    )
    path = tmp_path_factory.mktemp("labels") / "a.seg.nrrd"
    array = np.zeros((3, 4, 5), np.uint8)
    for number, segment in enumerate(segments):
        array[0, 0, number] = segment.value
    write_label_map(LabelMap(Volume.create(array), segments), path)
    assert [(s.value, s.name) for s in read_label_map(path).segments] == [(s.value, s.name) for s in segments]
    assert [entry.name for entry in path.parent.iterdir()] == ["a.seg.nrrd"]


# Names and paths


@given(st.lists(TEXTS | st.text(string.printable, max_size=300), max_size=12), st.lists(TEXTS, max_size=3))
def test_case_names_are_files_of_one_folder_on_every_system(texts: list[str], taken: list[str]) -> None:
    in_use = [safe_name(text) for text in taken]
    names = unique_names(texts, in_use)
    folded = [name.casefold() for name in names]
    assert len(set(folded)) == len(names)
    assert not set(folded) & {name.casefold() for name in in_use}
    for name in names:
        assert PurePosixPath(name).name == name
        assert PureWindowsPath(name).name == name
        assert not PureWindowsPath(f"{name}.nrrd").is_reserved()
        assert name == name.strip(" .")
        assert len(name) <= 90
        assert len(name.encode()) <= 220
        assert not set(name) & set('<>:"/\\|?*')


@pytest.mark.parametrize("text", ["con", "NUL.txt", "com1", "LPT9.nii", "com¹", "aux .x", "CONIN$", "prn."])
def test_names_that_windows_keeps_for_devices_are_not_used(text: str) -> None:
    assert safe_name(text).startswith("_") or safe_name(text).upper().startswith("CONIN_")


def test_two_spellings_of_one_accent_are_one_name() -> None:
    assert unique_names(["caf\u00e9", "cafe\u0301", "CAF\u00c9"]) == ["café", "café-2", "CAFÉ-3"]


def test_a_file_whose_name_is_no_text_is_a_case_like_others(tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path)
    cases = name_cases([tmp_path / "\udcff.nii.gz"])
    description = StudyDescription(supports=(), labels=(), background_label=255, settings={}, weights={}, cases=cases)
    description.write(paths)
    assert StudyDescription.read(paths).cases == cases


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("link", ["case", "cases"])
def test_a_link_in_a_study_leads_no_writing_elsewhere(tmp_path: Path, link: str) -> None:
    paths, elsewhere = StudyPaths(tmp_path / "study"), tmp_path / "elsewhere"
    (elsewhere / "a").mkdir(parents=True)
    paths.root.mkdir()
    paths.description.write_text("{}", encoding="utf-8")
    if link == "case":
        paths.cases_folder.mkdir()
        paths.case("a").folder.symlink_to(elsewhere / "a")
    else:
        paths.cases_folder.symlink_to(elsewhere)
    with pytest.raises(InputError, match="link to elsewhere"):
        begin(paths, paths.case("a"))
    assert not list((elsewhere / "a").iterdir())


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_in_place_of_the_logs_or_of_a_file_touches_nothing_elsewhere(tmp_path: Path) -> None:
    paths, elsewhere = StudyPaths(tmp_path / "study"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    for number in range(40):
        (elsewhere / f"{number:03d}.log").write_text("precious", encoding="utf-8")
    paths.root.mkdir()
    paths.logs.symlink_to(elsewhere)
    with run_log(paths, lambda event, **fields: None) as tell:
        tell("finished")
    paths.review.symlink_to(elsewhere / "000.log")
    write_table(paths.review, ["case"], [{"case": "a"}])
    assert len(list(elsewhere.iterdir())) == 40
    assert {path.read_text(encoding="utf-8") for path in elsewhere.iterdir()} == {"precious"}


# The study's own files

STRUCTURE = StructureQuality(
    value=1,
    name="Gland",
    state="found",
    score=0.5,
    similarity=0.5,
    kept=0.5,
    cycle_mm=2.0,
    volume_ml=3.0,
    volume_ratio=1.0,
    in_view=1.0,
)
DESCRIPTION = StudyDescription(
    supports=({"ct": "/a/ct.nii.gz", "scribbles": "scribbles.seg.nrrd", "fingerprint": "abc"},),
    labels=({"value": 1, "name": "Gland", "color": [1.0, 0.0, 0.0]},),
    background_label=9,
    settings={"name": "default"},
    weights={"name": "headneck", "fingerprint": "w"},
    cases=(StudyCase("one", "/data/one.nii.gz"), StudyCase("two", "/data/two.nii.gz")),
)


def changed(content: Any, where: list[int], value: Any) -> Any:
    """JSON with one value, found by a path of numbers, replaced."""
    if not where or not isinstance(content, dict | list) or not content:
        return value
    keys = sorted(content) if isinstance(content, dict) else range(len(content))
    key = keys[where[0] % len(keys)]
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[key] = changed(content[key], where[1:], value)
    return copy


@given(where=st.lists(st.integers(0, 20), max_size=4), value=JSON)
def test_any_study_json_gives_a_study_and_a_report_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, where: list[int], value: Any
) -> None:
    paths = StudyPaths(tmp_path_factory.mktemp("study"))
    DESCRIPTION.write(paths)
    write_quality(CaseQuality(case="one", score=0.5, structures=(STRUCTURE,)), paths.case("one").quality)
    paths.description.write_text(json.dumps(changed(read_json(paths.description), where, value)), encoding="utf-8")
    try:
        read = StudyDescription.read(paths)
        read.present.changes_from(DESCRIPTION.present)
        DESCRIPTION.present.changes_from(read.present)
        assert StudyPaths(paths.root).support_scribbles(next(iter(read.supports), None)).is_relative_to(paths.root)
        for case in read.cases:
            assert paths.case(case.case).folder.parent == paths.cases_folder
        html = write_report(paths.root).read_text(encoding="utf-8")
        assert html.count("<script") == 1
    except InputError as error:
        check_one_sentence(error)
    assert {path.name for path in paths.root.parent.iterdir()} >= {paths.root.name}


@given(where=st.lists(st.integers(0, 20), max_size=4), value=JSON)
def test_any_quality_json_gives_measures_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, where: list[int], value: Any
) -> None:
    path = tmp_path_factory.mktemp("quality") / "quality.json"
    write_quality(
        CaseQuality(case="one", score=0.5, structures=(STRUCTURE,), seconds={"expand": 1.0}, warnings=("a warning",)),
        path,
    )
    path.write_text(json.dumps(changed(read_json(path), where, value)), encoding="utf-8")
    try:
        quality = read_quality(path)
    except InputError as error:
        check_one_sentence(error)
        return
    assert 0 <= quality.score <= 1
    assert all(0 <= structure.score <= 1 for structure in quality.structures)
    write_quality(quality, path)


@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda text: ("case,state,score,comment,time\n" + text).encode("utf-8", "replace"))
)
def test_any_review_csv_gives_a_ledger_or_a_sentence_and_stays(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("review") / "review.csv"
    path.write_bytes(data)
    try:
        ReviewLedger.load(path).counts()
    except InputError as error:
        check_one_sentence(error)
    assert path.read_bytes() == data


@given(case=TEXTS, comment=TEXTS)
def test_no_cell_of_the_ledger_is_a_formula_and_every_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, case: str, comment: str
) -> None:
    name = safe_name(case)
    path = tmp_path_factory.mktemp("review") / "review.csv"
    ledger = ReviewLedger(path, [ReviewEntry(case=name)])
    ledger.decide(name, "accepted", comment)
    ledger.save()
    assert ReviewLedger.load(path)[name].comment == comment
    raw = path.read_bytes().decode()
    assert not re.search(r'(^|[,\n])"?[=+\-@\t\r]', raw.partition("\n")[2])
    assert read_table(path, ["case"]).rows


# Events


@given(
    JSON
    | st.fixed_dictionaries(
        {"event": st.sampled_from(sorted(KINDS)) | JSON},
        optional={
            name: JSON
            for name in ("case", "cases", "step", "fraction", "error", "score", "seconds_left", "resumed", "total")
        },
    )
)
def test_any_line_of_a_child_is_an_event_or_none(content: Any) -> None:
    progress = RunProgress()
    event = parse_event(json.dumps(content))
    for known in (event, Event("started", {"cases": ["a"]}), event):
        if known is not None:
            progress.take(known)
    assert 0 <= progress.fraction <= 1
    assert isinstance(progress.describe() + progress.describe_step(), str)


@pytest.mark.parametrize(
    "line", ["", "{", "[" * 100_000, '{"event": ["started"]}', '{"event": "step", "fraction": 1e999}']
)
def test_lines_that_are_no_events_are_passed_over(line: str) -> None:
    event = parse_event(line)
    if event is not None:
        RunProgress().take(event)


# Weights


class Bomb:
    """Code that a pickle would run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "executed")


def test_a_pickle_disguised_as_weights_does_not_run(tmp_path: Path) -> None:
    import pickle

    import torch

    trap = tmp_path / "trap"
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("coarse.safetensors", "fine.safetensors"):
        (folder / name).write_bytes(pickle.dumps(Bomb(trap)))
    with pytest.raises(InputError):
        load_weights(folder)
    torch.save({"state_dict": {"a": Bomb(trap)}}, tmp_path / "a.tar")
    (tmp_path / "b.tar").write_bytes(pickle.dumps({"state_dict": Bomb(trap)}))
    for name in ("a.tar", "b.tar"):
        with pytest.raises(InputError) as caught:
            read_official(tmp_path / name)
        check_one_sentence(caught.value)
    assert not trap.exists()


def test_an_archive_with_paths_that_lead_out_of_it_writes_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "in" / "a.tar"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("../../escaped", "/tmp/escaped-oneshotseg", "archive/data.pkl", "archive/../../escaped"):
            file.writestr(name, b"\x80\x02N.")
    with pytest.raises(InputError):
        read_official(archive)
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.tar"]
    assert not Path("/tmp/escaped-oneshotseg").exists()


def test_json_too_deep_to_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("[" * 200_000, encoding="utf-8")
    with pytest.raises(InputError):
        StudyDescription.read(StudyPaths(tmp_path))
    write_json(tmp_path / "fine.json", {"name": "\udcff"})
    assert read_json(tmp_path / "fine.json") == {"name": "\udcff"}
