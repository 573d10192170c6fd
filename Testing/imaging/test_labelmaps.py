"""Label maps and their segments, as Slicer writes and reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import PALETTE, LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume

TAGS = "TerminologyEntry:Segmentation category and type~SCT^85756007^Tissue|Segmentation.Status:inprogress|"
SEGMENTS = (
    Segment(value=7, name="Brainstem", color=(0.5, 0.25, 1.0), tags=TAGS),
    Segment(value=2, name="Parotide, links", color=(1.0, 0.0, 0.2)),
    Segment(value=200, name="Background", color=(0.1, 0.2, 0.3)),
    Segment(value=5, name="not painted", color=(0.0, 1.0, 0.0)),
)


def label_map() -> LabelMap:
    array = np.zeros((4, 5, 6), np.uint8)
    array[1, 1:3, 2:5], array[2, 0, 0], array[3, 4, 5] = 7, 2, 200
    direction = [[1, 0, 0], [0, -1, 0], [0, 0, -1]]
    return LabelMap(Volume.create(array, (3, 0.9, 1.1), (5, 6, 7), direction), SEGMENTS)


def sentence_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_label_map(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


def test_a_header_with_bytes_that_are_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    write_label_map(label_map(), path)
    path.write_bytes(path.read_bytes().replace(b"Segment0_Name:", b"Segment0_N\xffme:"))
    assert "UTF-8" in sentence_of(path)


def test_names_colours_tags_values_and_order_come_back_as_they_were(tmp_path: Path) -> None:
    write_label_map(label_map(), tmp_path / "m.seg.nrrd")
    read = read_label_map(tmp_path / "m.seg.nrrd")
    assert read.segments == SEGMENTS
    assert read.volume.same_grid(label_map().volume)
    assert read.volume.array.dtype == np.uint8
    np.testing.assert_array_equal(read.volume.array, label_map().volume.array)


def test_the_header_is_what_slicer_writes(tmp_path: Path) -> None:
    write_label_map(label_map(), tmp_path / "m.seg.nrrd")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(tmp_path / "m.seg.nrrd"))
    reader.ReadImageInformation()
    entry: Callable[[str], str] = reader.GetMetaData
    assert entry("Segmentation_MasterRepresentation") == "Binary labelmap"
    assert entry("Segmentation_ReferenceImageExtentOffset") == "0 0 0"
    assert entry("Segment0_ID") == "Segment_7"
    assert entry("Segment0_Name") == "Brainstem"
    assert entry("Segment0_Color") == "0.5 0.25 1"
    assert entry("Segment0_LabelValue") == "7"
    assert entry("Segment0_Layer") == "0"
    assert entry("Segment0_Extent") == "2 4 1 2 1 1"
    assert entry("Segment0_Tags") == TAGS
    assert entry("Segment3_Extent") == "0 -1 0 -1 0 -1"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30).filter(str.strip)
)
def test_any_name_comes_back_and_adds_no_entry_of_its_own(tmp_path: Path, name: str) -> None:
    named = LabelMap(label_map().volume, (replace(SEGMENTS[0], name=name), *SEGMENTS[1:]))
    write_label_map(named, tmp_path / "m.seg.nrrd")
    assert read_label_map(tmp_path / "m.seg.nrrd").segments == named.segments


@pytest.mark.parametrize("name", ["a\nSegment0_LabelValue:=9", "a\r\n\r\nb", "x:=y", "# no comment", "a\\nb"])
def test_names_cannot_write_into_the_header(tmp_path: Path, name: str) -> None:
    write_label_map(LabelMap(label_map().volume, (replace(SEGMENTS[0], name=name),)), tmp_path / "m.seg.nrrd")
    read = read_label_map(tmp_path / "m.seg.nrrd")
    assert read.segments[0].value == 7
    np.testing.assert_array_equal(read.volume.array, label_map().volume.array)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_plain_label_maps_are_numbered_and_not_renumbered(tmp_path: Path, suffix: str, kind: Any) -> None:
    volume = label_map().volume
    write_volume(volume.with_array(volume.array.astype(kind)), tmp_path / f"m{suffix}")
    read = read_label_map(tmp_path / f"m{suffix}")
    assert [(s.value, s.name) for s in read.segments] == [
        (2, "Structure 2"),
        (7, "Structure 7"),
        (200, "Structure 200"),
    ]
    assert read.segments[0].color == PALETTE[1]
    np.testing.assert_array_equal(read.volume.array, volume.array)


def test_values_without_a_segment_are_kept_and_numbered(tmp_path: Path) -> None:
    write_label_map(LabelMap(label_map().volume, SEGMENTS[:1]), tmp_path / "m.seg.nrrd")
    read = read_label_map(tmp_path / "m.seg.nrrd")
    assert [s.name for s in read.segments] == ["Brainstem", "Structure 2", "Structure 200"]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((0, 0.5), "fractions"),
        ((0, float("nan")), "that are numbers"),
        ((0, float("inf")), "that are numbers"),
        ((-1, 1), "found -1 to 1"),
        ((0, 256), "found 0 to 256"),
        ((-1000, 1000), "found -1000 to 1000"),
    ],
)
def test_values_that_are_no_labels_are_refused(tmp_path: Path, values: Any, found: str) -> None:
    array = np.resize(np.array(values, np.float32), (3, 4, 5))
    write_volume(Volume.create(array), tmp_path / "m.nrrd")
    assert found in sentence_of(tmp_path / "m.nrrd")


def test_colour_images_are_no_label_maps(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5, 3), np.uint8), isVector=True), str(tmp_path / "m.nrrd"))
    assert "colour or vector" in sentence_of(tmp_path / "m.nrrd")


# Overlapping segments: Slicer keeps them in layers, a "list" axis of the NRRD


def write_layers(path: Path, layers: np.ndarray, segments: list[dict[str, str]], list_first: bool = True) -> None:
    """A layered segmentation as Slicer writes it; layers of shape (L, D, H, W)."""
    size = [str(n) for n in layers.shape[:0:-1]]
    axes, kinds, count = ["(1.1,0,0)", "(0,0.9,0)", "(0,0,3)"], ["domain"] * 3, str(len(layers))
    at = 0 if list_first else 3
    size.insert(at, count)
    axes.insert(at, "none")
    kinds.insert(at, "list")
    lines = [
        "NRRD0004",
        "type: unsigned char",
        "dimension: 4",
        "space: left-posterior-superior",
        f"sizes: {' '.join(size)}",
        f"space directions: {' '.join(axes)}",
        f"kinds: {' '.join(kinds)}",
        "encoding: raw",
        "space origin: (7,6,5)",
        *(f"Segment{n}_{key}:={text}" for n, fields in enumerate(segments) for key, text in fields.items()),
    ]
    data = np.moveaxis(layers, 0, -1) if list_first else layers
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + np.ascontiguousarray(data).tobytes())


def two_layers() -> np.ndarray:
    layers = np.zeros((2, 4, 5, 6), np.uint8)
    layers[0, 1, 1:4, 1:4] = 1
    layers[0, 3, 0, 0] = 3
    layers[1, 1, 3:5, 3:6] = 1
    return layers


FIELDS = [
    {"Name": "lower", "LabelValue": "1", "Layer": "0", "Color": "1 0 0"},
    {"Name": "upper", "LabelValue": "1", "Layer": "1", "Color": "0 1 0"},
    {"Name": "other", "LabelValue": "3", "Layer": "0", "Color": "0 0 1"},
]


@pytest.mark.parametrize("list_first", [True, False])
def test_overlapping_segments_are_flattened_with_the_later_on_top(tmp_path: Path, list_first: bool) -> None:
    path = tmp_path / "m.seg.nrrd"
    write_layers(path, two_layers(), FIELDS, list_first)
    read = read_label_map(path)
    assert [(s.name, s.value) for s in read.segments] == [("lower", 1), ("upper", 2), ("other", 3)]
    wanted = two_layers()[0].copy()
    wanted[two_layers()[1] == 1] = 2
    np.testing.assert_array_equal(read.volume.array, wanted)
    np.testing.assert_allclose(read.volume.spacing, (3, 0.9, 1.1))
    np.testing.assert_allclose(read.volume.origin, (5, 6, 7))


def test_layers_without_double_values_keep_them(tmp_path: Path) -> None:
    layers = two_layers()
    layers[1] *= 9
    write_layers(tmp_path / "m.seg.nrrd", layers, [FIELDS[0], {**FIELDS[1], "LabelValue": "9"}, FIELDS[2]])
    read = read_label_map(tmp_path / "m.seg.nrrd")
    assert [s.value for s in read.segments] == [1, 9, 3]
    assert sorted(np.unique(read.volume.array)) == [0, 1, 3, 9]


# Descriptions that cannot be


def write_with_fields(path: Path, *segments: dict[str, str]) -> None:
    entries = [(f"Segment{n}_{key}", text) for n, fields in enumerate(segments) for key, text in fields.items()]
    write_volume(label_map().volume, path, entries)


@pytest.mark.parametrize("value", ["x", "", "0", "-3", "256", "1.5", "9" * 9999, "٣"])
def test_segments_with_values_that_cannot_be_are_refused(tmp_path: Path, value: Any) -> None:
    write_with_fields(tmp_path / "m.seg.nrrd", {"LabelValue": value, "Name": "a"})
    assert "label values from 1 to 255" in sentence_of(tmp_path / "m.seg.nrrd")


def test_two_segments_of_one_value_in_one_layer_are_refused(tmp_path: Path) -> None:
    write_with_fields(tmp_path / "m.seg.nrrd", {"LabelValue": "7"}, {"LabelValue": "7"})
    assert "used twice" in sentence_of(tmp_path / "m.seg.nrrd")


@pytest.mark.parametrize("layer", ["2", "x", "-1", "99999999"])
def test_segments_in_layers_that_are_not_there_are_refused(tmp_path: Path, layer: Any) -> None:
    write_layers(tmp_path / "m.seg.nrrd", two_layers(), [{**FIELDS[0], "Layer": layer}])
    assert "layers 0 to 1" in sentence_of(tmp_path / "m.seg.nrrd")


@pytest.mark.parametrize("color", ["", "red", "1 2", "1 2 3 4", "nan nan nan", "7 -1 0.5"])
def test_colours_that_cannot_be_do_not_matter(tmp_path: Path, color: str) -> None:
    write_with_fields(tmp_path / "m.seg.nrrd", {"LabelValue": "7", "Name": "a", "Color": color})
    read = read_label_map(tmp_path / "m.seg.nrrd").segments[0]
    assert (read.value, read.name) == (7, "a")
    assert all(0 <= part <= 1 for part in read.color)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(
            [f"Segment{n}_{k}" for n in ("0", "1", "99999") for k in ("LabelValue", "Color", "Layer", "Name")]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF), max_size=12),
    )
)
def test_any_header_gives_a_label_map_or_a_sentence(tmp_path: Path, entries: dict[str, str]) -> None:
    write_volume(label_map().volume, tmp_path / "m.seg.nrrd", entries.items())
    try:
        read = read_label_map(tmp_path / "m.seg.nrrd")
    except InputError:
        return
    assert all(1 <= s.value <= 255 and min(s.color) >= 0 and max(s.color) <= 1 for s in read.segments)
    np.testing.assert_array_equal(read.volume.array, label_map().volume.array)


# The background stroke


@pytest.mark.parametrize("name", ["Background", "background", " BACKGROUND "])
def test_the_background_stroke_goes_by_its_name_in_any_case(name: str) -> None:
    assert Segment(value=3, name=name, color=(0, 0, 0)).is_background_stroke
    assert not Segment(value=3, name=name + "s", color=(0, 0, 0)).is_background_stroke


def test_a_value_can_be_named_as_the_background() -> None:
    without = LabelMap(label_map().volume, tuple(one for one in SEGMENTS if not one.is_background_stroke))
    assert [s.name for s in without.with_background(2).segments] == ["Brainstem", "Background", "not painted"]
    assert without.with_background(None).segments == without.segments
    assert without.with_background(9).segments[-1].is_background_stroke
    assert without.with_background(9).segments[-1].value == 9


def test_a_segment_named_as_the_background_needs_no_value_for_it() -> None:
    assert label_map().with_background(2).segments == SEGMENTS
    assert label_map().with_background(200).segments == SEGMENTS


# Masks that other programs wrote


@pytest.mark.parametrize(("off", "is_said"), [(1e-5, False), (-1e-4, False), (0.014, True), (-0.04, True)])
def test_values_next_to_whole_numbers_are_these(
    off: float, is_said: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    volume = label_map().volume
    array = np.where(volume.array > 0, volume.array + np.float32(off), 0).astype(np.float32)
    write_volume(volume.with_array(array), tmp_path / "m.nii.gz")
    assert np.array_equal(read_label_map(tmp_path / "m.nii.gz").volume.array, volume.array)
    assert any("were rounded" in record.getMessage() for record in caplog.records) == is_said


def test_a_mask_in_256_steps_with_a_slope_has_its_labels(tmp_path: Path) -> None:
    array = np.arange(8, dtype=np.float64).repeat(30).reshape(5, 6, 8)
    volume = Volume.create(np.round(array / 7 * 255).astype(np.float32) * np.float32(7 / 255), (3, 1, 1))
    write_volume(volume, tmp_path / "m.nii.gz")
    assert np.array_equal(read_label_map(tmp_path / "m.nii.gz").volume.array, array)


def test_what_lies_in_a_layer_without_a_description_is_there_without_a_name(tmp_path: Path) -> None:
    layers = np.concatenate([two_layers(), np.zeros((1, 4, 5, 6), np.uint8)])
    layers[2, 2:, 3:] = 5
    write_layers(tmp_path / "m.seg.nrrd", layers, FIELDS)
    read = read_label_map(tmp_path / "m.seg.nrrd")
    (value,) = read.unnamed
    assert np.array_equal(read.volume.array == value, (layers[2] == 5) & (layers[0] == 0) & (layers[1] == 0))
    assert [segment.name for segment in read.named] == ["lower", "upper", "other"]


def test_two_segments_of_one_value_in_one_of_several_layers_are_refused(tmp_path: Path) -> None:
    without_layers = [{key: text for key, text in fields.items() if key != "Layer"} for fields in FIELDS]
    write_layers(tmp_path / "m.seg.nrrd", two_layers(), without_layers)
    assert "used twice" in sentence_of(tmp_path / "m.seg.nrrd")


def test_a_segmentation_of_which_no_segment_has_a_name_is_known_as_such(tmp_path: Path) -> None:
    write_with_fields(tmp_path / "m.seg.nrrd", {"LabelValue": "7", "Tags": TAGS}, {"LabelValue": "2", "Name": " "})
    assert read_label_map(tmp_path / "m.seg.nrrd").has_nameless_segments
    write_with_fields(tmp_path / "m.seg.nrrd", {"LabelValue": "7"}, {"LabelValue": "2", "Name": "a"})
    assert not read_label_map(tmp_path / "m.seg.nrrd").has_nameless_segments
    write_volume(label_map().volume, tmp_path / "m.nii.gz")
    assert not read_label_map(tmp_path / "m.nii.gz").has_nameless_segments
