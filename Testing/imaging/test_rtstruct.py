"""Structure sets of radiotherapy become label maps on their CT's own planes, and nothing of them is lost unsaid."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation.references import structure_set_in
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.polygons import fill_polygons, region_between
from OneShotSegLib.imaging.rtstruct import (
    is_structure_set,
    name_of_structure_set,
    read_labels_of,
    read_rtstruct,
    read_rtstruct_with_notes,
    read_structures,
)
from OneShotSegLib.imaging.volume import Volume

pydicom = pytest.importorskip("pydicom")

from pydicom import Dataset  # noqa: E402
from pydicom.dataelem import RawDataElement  # noqa: E402
from pydicom.tag import Tag  # noqa: E402

from Testing.helpers.dicom_series import write_series  # noqa: E402
from Testing.helpers.structure_sets import (  # noqa: E402
    Drawn,
    circle,
    content,
    header_of,
    series_of,
    write_structure_set,
)

SQUARE = np.array([[2.5, 2.5], [2.5, 7.5], [7.5, 7.5], [7.5, 2.5]])
GRID = Volume.create(np.zeros((12, 40, 36), np.uint8), (3.0, 1.0, 1.0), (-20.0, 5.0, 7.5))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / max(int(np.count_nonzero(a) + np.count_nonzero(b)), 1)


def disc(grid: Volume, plane: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    """The voxels whose centres lie in a circle."""
    k, row, column = np.indices(grid.shape)
    return (k == plane) & (np.hypot(row - centre[0], column - centre[1]) < radius)


def voxels_of(labels: LabelMap, name: str) -> np.ndarray:
    (segment,) = [segment for segment in labels.segments if segment.name == name]
    return labels.volume.array == segment.value


def read(tmp_path: Path, *drawn: Drawn, grid: Volume = GRID, **options: object) -> tuple[LabelMap, str]:
    """What becomes of these structures, and all notes as one text."""
    series = series_of(grid)
    path = write_structure_set(tmp_path / "rs.dcm", drawn, header_of(series))
    found = read_rtstruct_with_notes(path, series, **options)  # type: ignore[arg-type]
    return found.labels, "\n".join(found.notes)


def test_a_polygon_holds_the_pixels_whose_centres_lie_in_it() -> None:
    expected = np.zeros((10, 12), bool)
    expected[3:8, 3:8] = True
    assert np.array_equal(fill_polygons([SQUARE], (10, 12)), expected)


def test_of_two_polygons_with_a_common_edge_on_pixel_centres_each_pixel_gets_to_one() -> None:
    left = np.array([[0, 0], [9, 0], [9, 5], [0, 5]], dtype=float)
    right = np.array([[0, 5], [9, 5], [9, 11], [0, 11]], dtype=float)
    both = fill_polygons([left], (10, 12)).astype(int) + fill_polygons([right], (10, 12))
    assert both[:9, :11].min() == both.max() == 1


@given(seed=st.integers(0, 2**32 - 1), points=st.integers(3, 30))
def test_pixels_inside_are_those_that_matplotlib_finds(seed: int, points: int) -> None:
    from matplotlib.path import Path as Outline

    polygon = np.random.default_rng(seed).uniform(-3, 23, (points, 2))
    turned = polygon[np.argsort(np.arctan2(*(polygon - polygon.mean(axis=0)).T))]
    centres = np.moveaxis(np.indices((20, 20)), 0, -1).reshape(-1, 2)
    expected = Outline(np.vstack([turned, turned[:1]]), closed=True).contains_points(centres).reshape(20, 20)
    assert np.array_equal(fill_polygons([turned], (20, 20)), expected)


def test_between_two_discs_apart_lies_a_disc_in_the_middle() -> None:
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = 5 * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    found = region_between([ring + np.array([10, 8])], [ring + np.array([10, 24])], 0.5, (21, 33), (1.0, 1.0))
    row, column = np.indices((21, 33))
    assert dice(found, np.hypot(row - 10, column - 16) < 5) > 0.95


@st.composite
def grids(draw: st.DrawFn) -> Volume:
    """Grids with any orientation, spacing and offset."""
    turn = Rotation.from_euler("zyx", [draw(st.floats(-180, 180)) for _ in range(3)], degrees=True).as_matrix()
    spacing = (draw(st.floats(0.6, 5)), draw(st.floats(0.4, 2)), draw(st.floats(0.4, 2)))
    origin = [draw(st.floats(-500, 500)) for _ in range(3)]
    shape = (draw(st.integers(8, 20)), draw(st.integers(30, 60)), draw(st.integers(30, 60)))
    flip = np.diag([1, 1, draw(st.sampled_from([-1, 1]))])
    return Volume.create(np.zeros(shape, np.uint8), spacing, origin, turn @ flip)


@given(grid=grids(), off=st.floats(-0.4, 0.4))
def test_a_ball_is_where_it_was_drawn_whatever_the_ct_s_grid(
    tmp_path_factory: pytest.TempPathFactory, grid: Volume, off: float
) -> None:
    """In the patient: each voxel of the ball by its distance in mm, the planes as far off as contours may be."""
    centre = grid.to_world((np.array(grid.shape) - 1) / 2)
    radius = 0.4 * float((np.array(grid.shape) * grid.spacing).min())
    contours = []
    for plane in range(grid.shape[0]):
        middle = grid.to_index(centre)
        height = (plane - middle[0]) * grid.spacing[0]
        across = np.sqrt(max(radius**2 - height**2, 0.0))
        turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
        ring = np.stack([np.sin(turn) * across / grid.spacing[1], np.cos(turn) * across / grid.spacing[2]], axis=1)
        if across > 0:
            contours.append(grid.to_world(np.insert(ring + middle[1:], 0, plane + off, axis=1)))
    path = tmp_path_factory.mktemp("ball")
    labels, notes = read(path, Drawn(name="Ball", contours=contours), grid=grid)
    centres = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    assert dice(voxels_of(labels, "Ball"), np.linalg.norm(centres - centre, axis=-1) < radius) > 0.98
    assert notes == ""
    assert labels.volume.same_grid(grid)


def test_names_colours_and_roi_numbers_are_kept(tmp_path: Path) -> None:
    ring = circle(GRID, 3, (10, 10), 4)
    drawn = [
        Drawn(name="Ohrspeicheldrüse  links", contours=[ring], color=(10, 20, 30), number=7),
        Drawn(name="脳幹", contours=[circle(GRID, 3, (25, 25), 4)], color=None, number=3),
    ]
    labels, notes = read(tmp_path, *drawn)
    assert [(s.value, s.name) for s in labels.segments] == [(7, "Ohrspeicheldrüse links"), (3, "脳幹")]
    assert labels.segments[0].color == pytest.approx((10 / 255, 20 / 255, 30 / 255))
    assert labels.segments[1].color == Segment.numbered(3).color
    assert notes == ""


def test_roi_numbers_over_255_are_replaced_by_numbers_in_the_file_s_order(tmp_path: Path) -> None:
    drawn = [
        Drawn(name=name, contours=[circle(GRID, 3, (10, at), 3)], number=n)
        for name, at, n in (("A", 8, 900), ("B", 24, 4))
    ]
    labels, _ = read(tmp_path, *drawn)
    assert [(s.value, s.name) for s in labels.segments] == [(1, "A"), (2, "B")]


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_an_inner_contour_is_a_hole_and_one_within_it_an_island(tmp_path: Path, kind: str) -> None:
    rings = [circle(GRID, 5, (18, 18), radius) for radius in (12.3, 8.2, 3.4)]
    labels, notes = read(tmp_path, Drawn(name="Ring", contours=rings, kind=kind))
    big, hole, island = (disc(GRID, 5, (18, 18), radius) for radius in (12.3, 8.2, 3.4))
    assert dice(voxels_of(labels, "Ring"), (big & ~hole) | island) > 0.99
    assert notes == ""


def test_a_keyhole_leaves_its_hole_open_and_its_channel_closed(tmp_path: Path) -> None:
    outer, inner = circle(GRID, 5, (18, 18), 12.3), circle(GRID, 5, (18, 18), 5.2)[::-1]
    keyhole = np.concatenate([outer, outer[:1], inner[-1:], inner])
    labels, _ = read(tmp_path, Drawn(name="Ring", contours=[keyhole]))
    assert dice(voxels_of(labels, "Ring"), disc(GRID, 5, (18, 18), 12.3) & ~disc(GRID, 5, (18, 18), 5.2)) > 0.99


def test_a_contour_that_is_there_twice_does_not_vanish(tmp_path: Path) -> None:
    ring = circle(GRID, 5, (18, 18), 8.3)
    labels, notes = read(tmp_path, Drawn(name="A", contours=[ring, ring]))
    assert dice(voxels_of(labels, "A"), disc(GRID, 5, (18, 18), 8.3)) > 0.99
    assert "there twice" in notes


@pytest.mark.parametrize("copy", ["backwards", "begun elsewhere", "rounded", "closed", "in reverse and rounded"])
def test_a_copy_of_a_contour_in_other_words_does_not_empty_it(copy: str, tmp_path: Path) -> None:
    ring = circle(GRID, 5, (18, 18), 8.3)
    other = {
        "backwards": ring[::-1],
        "begun elsewhere": np.roll(ring, 17, axis=0),
        "rounded": np.round(ring, 2),
        "closed": np.concatenate([ring, ring[:1]]),
        "in reverse and rounded": np.round(np.roll(ring[::-1], 3, axis=0), 2),
    }[copy]
    labels, notes = read(tmp_path, Drawn(name="A", contours=[ring, other]))
    assert dice(voxels_of(labels, "A"), disc(GRID, 5, (18, 18), 8.3)) > 0.99
    assert "there twice" in notes


def test_a_thin_wall_between_two_contours_is_no_copy(tmp_path: Path) -> None:
    rings = [circle(GRID, 5, (18, 18), radius) for radius in (12.3, 11.2)]
    labels, notes = read(tmp_path, Drawn(name="A", contours=rings))
    assert dice(voxels_of(labels, "A"), disc(GRID, 5, (18, 18), 12.3) & ~disc(GRID, 5, (18, 18), 11.2)) > 0.9
    assert "twice" not in notes


def test_contours_that_cross_each_other_are_told(tmp_path: Path) -> None:
    rings = [circle(GRID, 5, (18, at), 6.3) for at in (14, 20)]
    _, notes = read(tmp_path, Drawn(name="A", contours=rings))
    assert "cross each other" in notes
    assert "'A' (1 slices)" in notes


def test_a_structure_on_every_second_slice_is_filled_between_with_a_note(tmp_path: Path) -> None:
    rings = [circle(GRID, plane, (18, 10 + plane), 5.3) for plane in (1, 3, 5, 7)]
    labels, notes = read(tmp_path, Drawn(name="Nerve", contours=rings))
    expected = np.any([disc(GRID, plane, (18, 10 + plane), 5.3) for plane in range(1, 8)], axis=0)
    assert dice(voxels_of(labels, "Nerve"), expected) > 0.97
    assert "filled between by shape interpolation: 'Nerve' (3 slices)" in notes
    strokes, _ = read(tmp_path, Drawn(name="Nerve", contours=rings), fill_between=False)
    assert sorted(set(np.nonzero(strokes.volume.array)[0])) == [1, 3, 5, 7]


def test_a_gap_in_a_structure_drawn_on_every_slice_stays_and_is_told(tmp_path: Path) -> None:
    rings = [circle(GRID, plane, (18, 18), 5.3) for plane in (1, 2, 3, 7, 8)]
    labels, notes = read(tmp_path, Drawn(name="Nodes", contours=rings))
    assert sorted(set(np.nonzero(labels.volume.array)[0])) == [1, 2, 3, 7, 8]
    assert "left empty: 'Nodes' (3 slices)" in notes


def test_contours_half_way_between_slices_all_go_the_same_way(tmp_path: Path) -> None:
    rings = [circle(GRID, plane + 0.5, (18, 18), 5.3) for plane in range(2, 8)]
    labels, notes = read(tmp_path, Drawn(name="A", contours=rings))
    assert len(set(np.nonzero(labels.volume.array)[0])) == 6
    assert notes == ""


def test_of_two_contours_near_one_slice_the_nearer_counts_and_both_are_not_taken_for_a_hole(tmp_path: Path) -> None:
    rings = [circle(GRID, 4.4, (18, 18), 9.3), circle(GRID, 4.1, (18, 18), 5.3)]
    labels, notes = read(tmp_path, Drawn(name="A", contours=rings))
    assert dice(voxels_of(labels, "A"), disc(GRID, 4, (18, 18), 5.3)) > 0.99
    assert "between the CT's slices" in notes


def test_where_structures_overlap_the_smaller_one_is_kept_and_told(tmp_path: Path) -> None:
    body = Drawn(name="BODY", contours=[circle(GRID, plane, (18, 18), 15.2) for plane in (4, 5, 6)])
    cord = Drawn(name="Cord", contours=[circle(GRID, 5, (18, 18), 3.2)])
    for drawn in ((body, cord), (cord, body)):
        labels, notes = read(tmp_path, *drawn)
        assert dice(voxels_of(labels, "Cord"), disc(GRID, 5, (18, 18), 3.2)) == 1
        volume = np.count_nonzero(voxels_of(labels, "Cord")) * 3 / 1000
        assert (
            notes == f"rs.dcm: structures overlap, the smaller one is kept there: 'Cord' over 'BODY' {volume:.2f} ml."
        )


def test_points_lines_empty_and_foreign_structures_are_named_as_not_used(tmp_path: Path) -> None:
    ring = circle(GRID, 5, (18, 18), 6.3)
    labels, notes = read(
        tmp_path,
        Drawn(name="A", contours=[ring]),
        Drawn(name="Iso", contours=[ring[:1]], kind="POINT"),
        Drawn(name="Wire", contours=[ring[:9]], kind="OPEN_PLANAR"),
        Drawn(name="Speck", contours=[ring[:2]]),
        Drawn(name="PTV"),
        Drawn(name="Other", contours=[ring], frame="1.2.3"),
        Drawn(name="Beside", contours=[circle(GRID, 5, (300, 18), 6.3)]),
        Drawn(name="Above", contours=[circle(GRID, 40, (18, 18), 6.3)]),
        Drawn(name="Sagittal", contours=[ring[:, ::-1]]),
    )
    assert [s.name for s in labels.segments] == ["A"]
    for text in (
        "'Iso' (1 x POINT)",
        "'Wire' (1 x OPEN_PLANAR)",
        "'Speck' (1 x closed contour of fewer than three points)",
        "without closed contours, not used: 'Iso', 'Wire', 'Speck', 'PTV'",
        "another frame of reference than the CT, not used: 'Other'",
        "outside the CT, not used: 'Beside', 'Above'",
        "across the CT's slices, not used: 'Sagittal'",
    ):
        assert text in notes


def test_structures_of_one_name_are_told_apart_and_an_empty_one_has_no_claim(tmp_path: Path) -> None:
    rings = [[circle(GRID, 5, (18, at), 4.3)] for at in (8, 20)]
    labels, notes = read(tmp_path, *(Drawn(name="GTV", contours=contours) for contours in ([], *rings)))
    assert [s.name for s in labels.segments] == ["GTV", "GTV (2)"]
    assert "renamed: 'GTV (2)'" in notes


def test_a_structure_thinner_than_a_voxel_is_one_voxel_per_slice(tmp_path: Path) -> None:
    labels, _ = read(tmp_path, Drawn(name="Thread", contours=[circle(GRID, p, (18.4, 9.4), 0.2) for p in (4, 5)]))
    assert np.argwhere(labels.volume.array).tolist() == [[4, 18, 9], [5, 18, 9]]


def test_a_structure_that_passes_the_border_is_cut_there(tmp_path: Path) -> None:
    labels, _ = read(tmp_path, Drawn(name="A", contours=[circle(GRID, 0, (1, 34), 9.3)]))
    assert dice(voxels_of(labels, "A"), disc(GRID, 0, (1, 34), 9.3)) > 0.99


def test_strokes_and_warnings_reach_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    series = series_of(GRID)
    drawn = (Drawn(name="A", contours=[circle(GRID, 5, (18, 18), 6.3)]), Drawn(name="PTV"))
    path = write_structure_set(tmp_path / "rs.dcm", drawn, header_of(series))
    with caplog.at_level(logging.WARNING):
        read_rtstruct(path, series)
    assert "without closed contours, not used: 'PTV'" in caplog.text


def test_structures_asked_for_by_name_get_their_values_whatever_else_overlaps_them(tmp_path: Path) -> None:
    series = series_of(GRID)
    drawn = (
        Drawn(name="PARotid L", contours=[circle(GRID, 5, (18, 18), 9.3)]),
        Drawn(name="PTV", contours=[circle(GRID, 5, (18, 18), 6.3)]),
    )
    path = write_structure_set(tmp_path / "rs.dcm", drawn, header_of(series))
    asked = [Segment(value=v, name=n, color=(0, 0, 1)) for v, n in ((40, "Parotid L"), (9, "Cord"))]
    found = read_structures(path, series, asked)
    assert dice(found.labels.volume.array == 40, disc(GRID, 5, (18, 18), 9.3)) > 0.99
    assert found.labels.segments == tuple(asked)
    assert found.notes == (
        "rs.dcm: it has no structure of these names: 'Cord'.",
        "rs.dcm: structures that were not asked for, not used: 'PTV'.",
    )
    with pytest.raises(InputError, match=r"expected structures of the names 'Cord', found 'PARotid L', 'PTV'"):
        read_structures(path, series, asked[1:])


def test_a_name_that_two_drawn_structures_have_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    series = series_of(GRID)
    drawn = [Drawn(name=n, contours=[circle(GRID, 5, (18, 18), 6.3)]) for n in ("Cord", "CORD ", "PTV", "PTV")]
    path = write_structure_set(tmp_path / "rs.dcm", (*drawn, Drawn(name="PTV")), header_of(series))
    with pytest.raises(InputError, match="expected each structure once, found several of the name"):
        read_structures(path, series, [Segment(value=1, name="cord", color=(0, 0, 1))])
    one = write_structure_set(tmp_path / "one.dcm", (drawn[0], Drawn(name="Cord")), header_of(series))
    found = read_structures(one, series, [Segment(value=4, name="cord", color=(0, 0, 1))])
    assert set(np.unique(found.labels.volume.array)) == {0, 4}


def test_a_structure_set_of_another_scan_is_refused(tmp_path: Path) -> None:
    series = series_of(GRID)
    own = header_of(series)
    drawn = [Drawn(name="A", contours=[circle(GRID, 5, (18, 18), 6.3)])]
    for changed, sentence in (
        (replace(own, patient_id="ID-2"), "expected contours of the patient of scan, found another patient ID"),
        (replace(own, frame="1.2.3"), "expected contours in the frame of reference of scan, found another one"),
        (replace(own, instances=("1.2.3",)), "expected contours on the slices of scan, found references to another"),
    ):
        with pytest.raises(InputError, match=sentence):
            read_rtstruct(write_structure_set(tmp_path / "rs.dcm", drawn, changed), series)


def test_a_file_without_contours_on_the_ct_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected structures with closed contours, found none"):
        read(tmp_path, Drawn(name="A"))
    with pytest.raises(InputError, match="expected contours on the CT in scan, found none on its slices"):
        read(tmp_path, Drawn(name="A", contours=[circle(GRID, 50, (18, 18), 6.3)]))


def test_damaged_content_is_refused_in_one_sentence(tmp_path: Path) -> None:
    series = series_of(GRID)
    drawn = [Drawn(name="A", contours=[circle(GRID, 5, (18, 18), 6.3, 8)])]

    def found(change: object) -> str:
        data = content(drawn, header_of(series))
        change(data, data.ROIContourSequence[0].ContourSequence[0])  # type: ignore[operator]
        data.save_as(tmp_path / "rs.dcm", enforce_file_format=True)
        with pytest.raises(InputError, match="expected a whole DICOM structure set") as error:
            read_rtstruct(tmp_path / "rs.dcm", series)
        assert str(error.value).count("\n") == 0
        return str(error.value)

    def numbers(values: bytes) -> object:
        def change(_data: object, contour: Dataset) -> None:
            # As bytes: pydicom itself does not write what is no number.
            contour[0x30060050] = RawDataElement(Tag(0x30060050), "DS", len(values), values, 0, True, True)
            contour.NumberOfContourPoints = 3

        return change

    assert "4 coordinates, which is no multiple of three" in found(numbers(b"1\\2\\3\\4 "))
    assert "coordinates that are no numbers" in found(numbers(b"1\\2\\nan\\4\\5\\6\\7\\8\\9 "))
    assert "a damaged one" in found(numbers(b"1\\2\\x\\4\\5\\6\\7\\8\\9 "))
    assert "2 points where 3 are announced" in found(numbers(b"1\\2\\3\\4\\5\\6 "))
    assert "without ROIContourSequence" in found(lambda data, _: data.pop("ROIContourSequence"))
    assert "without StructureSetROISequence" in found(lambda data, _: data.pop("StructureSetROISequence"))
    assert "not described" in found(lambda data, _: setattr(data.StructureSetROISequence[0], "ROINumber", 5))

    def as_ct(data: Dataset, _: object) -> None:
        data.Modality, data.SOPClassUID = "CT", "1.2.3"

    assert "modality 'CT'" in found(as_ct)


def test_other_files_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "rs.dcm"
    other.write_bytes(b"no DICOM at all" * 40)
    with pytest.raises(InputError, match="found a file that is no DICOM"):
        read_rtstruct(other, series_of(GRID))
    with pytest.raises(InputError, match="no such file"):
        read_rtstruct(tmp_path / "none.dcm", series_of(GRID))
    write_structure_set(other, [Drawn(name="A")], header_of(SERIES))
    with pytest.raises(InputError, match="expected the CT as a folder with a DICOM series"):
        read_rtstruct(other, other)
    with pytest.raises(InputError, match="no such file or folder"):
        read_labels_of(other, tmp_path / "gone", GRID)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    rings = [circle(GRID, plane, (18, 18), 6.3, 12) for plane in range(3, 7)]
    path = tmp_path_factory.mktemp("whole") / "rs.dcm"
    write_structure_set(path, [Drawn(name=name, contours=rings) for name in "AB"], header_of(SERIES))
    return path.read_bytes()


SERIES = series_of(GRID)


@given(share=st.floats(0, 1))
@settings(max_examples=60)
def test_a_file_cut_off_anywhere_is_refused_or_has_all_its_contours(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, share: float
) -> None:
    path = tmp_path_factory.mktemp("cut") / "rs.dcm"
    path.write_bytes(whole)
    expected = read_rtstruct(path, SERIES).volume.array
    path.write_bytes(whole[: int(share * len(whole))])
    try:
        found = read_rtstruct(path, SERIES).volume.array
    except InputError as error:
        assert "expected" in str(error)  # noqa: PT017
    else:
        assert np.array_equal(found, expected)


@given(at=st.integers(0, 2**31), value=st.integers(0, 255))
@settings(max_examples=60)
def test_a_changed_byte_gives_a_label_map_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, at: int, value: int
) -> None:
    changed = bytearray(whole)
    changed[at % len(changed)] = value
    path = tmp_path_factory.mktemp("changed") / "rs.dcm"
    path.write_bytes(bytes(changed))
    try:
        assert read_rtstruct(path, SERIES).volume.array.shape == GRID.shape
    except InputError as error:
        assert "expected" in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", ["RS.1.2.840.1", "RS0001", "rs.dcm", "RS.DCM", "1.2.3.ima", "plan.dicom"])
def test_a_structure_set_is_known_by_its_content_where_its_name_says_nothing(name: str, tmp_path: Path) -> None:
    series = series_of(GRID)
    drawn = [Drawn(name="A", contours=[circle(GRID, 5, (18, 18), 8.3)])]
    path = write_structure_set(tmp_path / name, drawn, header_of(series))
    assert is_structure_set(path)
    assert dice(voxels_of(read_rtstruct(path, series), "A"), disc(GRID, 5, (18, 18), 8.3)) > 0.99
    wanted = {"rs.dcm": "rs", "RS.DCM": "RS", "1.2.3.ima": "1.2.3", "plan.dicom": "plan"}
    assert name_of_structure_set(path) == wanted.get(name, name)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "notes", "RS.txt"])
def test_other_files_are_no_structure_sets(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x" * 200)
    assert not is_structure_set(tmp_path / name)


def test_the_structure_set_among_the_slices_of_a_pacs_export_is_found(tmp_path: Path) -> None:
    write_series(tmp_path, Volume.create(np.zeros((4, 5, 6), np.int16), (3, 1, 1)), "P")
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(f"IM{path.stem}"))
    assert structure_set_in(tmp_path) is None
    data = content([Drawn(name="A")], header_of(series_of(GRID)))
    data.SeriesInstanceUID = "1.2.3"
    data.save_as(tmp_path / "IM900", enforce_file_format=True)
    assert structure_set_in(tmp_path) == tmp_path / "IM900"


@pytest.mark.parametrize(("stored", "name"), [("Drüse", "Drüse"), ("Cord", "Cord"), ("脳幹", "脳幹")])
def test_names_in_utf_8_are_read_though_the_file_does_not_say_so(stored: str, name: str, tmp_path: Path) -> None:
    series = series_of(GRID)
    data = content([Drawn(name="A", contours=[circle(GRID, 5, (18, 18), 8.3)])], header_of(series))
    del data.SpecificCharacterSet
    tag, text = Tag(0x30060026), stored.encode()
    data.StructureSetROISequence[0]._dict[tag] = RawDataElement(tag, "LO", len(text), text, 0, True, True)
    data.save_as(tmp_path / "rs.dcm", enforce_file_format=True)
    assert [segment.name for segment in read_rtstruct(tmp_path / "rs.dcm", series).segments] == [name]
