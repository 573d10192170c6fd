"""Evaluation against references: figures that can be worked out by hand, what is missing, layouts, outputs."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import ndimage

from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation import Evaluation, StructureFigures, evaluate
from OneShotSegLib.evaluation.metrics import compare, surface_distances
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.description import StudyCase, StudyDescription, label_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.review import ReviewEntry, ReviewLedger

SPACING = np.array((3.0, 1.0, 2.0))


def cube(*corner: int, shape: tuple[int, int, int] = (20, 24, 22), size: int = 8) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    z, y, x = corner
    mask[z : z + size, y : y + size, x : x + size] = True
    return mask


def labels(**masks: np.ndarray) -> Volume:
    """A label volume of masks named v1, v2 ... after their values."""
    array = np.zeros((20, 24, 22), dtype=np.uint8)
    for name, mask in masks.items():
        array[mask] = int(name[1:])
    return Volume.create(array, SPACING, (5.0, -40.0, 12.0))


def save(volume: Volume, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(volume, path)


def compared(a: np.ndarray, b: np.ndarray) -> StructureFigures:
    return compare("c", 1, "S", a, b, SPACING)


def make_study(root: Path, masks: dict[str, Volume | None]) -> Path:
    structures = (
        Segment(value=1, name="Cube", color=(1.0, 0.0, 0.0)),
        Segment(value=2, name="Other", color=(0.0, 1.0, 0.0)),
    )
    for case, volume in masks.items():
        folder = root / "cases" / case
        folder.mkdir(parents=True)
        if volume is not None:
            write_label_map(LabelMap(volume, structures), folder / "pseudo.seg.nrrd")
    StudyDescription(
        supports=(),
        labels=label_table((*structures, Segment(value=8, name="Background", color=(0.5, 0.5, 0.5)))),
        background_label=8,
        settings={},
        weights={},
        cases=tuple(StudyCase(case, f"/data/{case}.nii.gz") for case in masks),
    ).write(StudyPaths(root))
    return root


@pytest.mark.parametrize(("axis", "step"), [(0, 3.0), (1, 1.0), (2, 2.0)])
def test_a_cube_shifted_by_one_voxel_is_one_voxel_off_in_mm_along_that_axis(axis: int, step: float) -> None:
    a = cube(5, 6, 7)
    figures = compared(a, np.roll(a, 1, axis=axis))
    assert figures.hd95_mm == pytest.approx(step)
    assert figures.dice == pytest.approx(7 / 8)
    assert figures.assd_mm is not None
    assert 0 < figures.assd_mm < step


def test_surface_distances_are_those_of_all_pairs_of_surface_voxels() -> None:
    random = np.random.default_rng(3)
    noise = [ndimage.gaussian_filter(random.normal(size=(14, 18, 16)), 2) for _ in range(2)]
    a, b = noise[0] > 0.02, noise[0] + 0.5 * noise[1] > 0.04
    edges = [np.argwhere(mask & ~ndimage.binary_erosion(mask)) * SPACING for mask in (a, b)]
    pairs = np.linalg.norm(edges[0][:, None] - edges[1][None], axis=-1)
    there, back = pairs.min(axis=1), pairs.min(axis=0)
    hd95, assd = surface_distances(a, b, SPACING)
    assert hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-4)
    assert assd == pytest.approx(np.concatenate([there, back]).mean(), rel=1e-4)


def test_figures_are_the_same_anywhere_in_the_image_and_either_way_round() -> None:
    middle = compared(cube(5, 6, 7), cube(6, 8, 7))
    at_the_border = compared(cube(0, 0, 0), cube(1, 2, 0))
    swapped = compared(cube(6, 8, 7), cube(5, 6, 7))
    assert (middle.dice, middle.hd95_mm, middle.assd_mm) == (
        at_the_border.dice,
        at_the_border.hd95_mm,
        at_the_border.assd_mm,
    )
    assert (middle.hd95_mm, middle.assd_mm) == (swapped.hd95_mm, swapped.assd_mm)


def test_volumes_are_in_ml_and_their_error_has_a_sign() -> None:
    figures = compared(cube(5, 6, 7), cube(5, 6, 7, size=4))
    assert figures.reference_ml == pytest.approx(8**3 * 6 / 1000)
    assert figures.volume_error == pytest.approx(1 / 8 - 1)


def test_a_mask_of_one_voxel_can_be_compared() -> None:
    figures = compared(cube(5, 5, 5, size=1), cube(6, 5, 5, size=1))
    assert figures.dice == 0.0
    assert (figures.hd95_mm, figures.assd_mm) == pytest.approx((3.0, 3.0))


def test_what_only_one_side_has_is_a_false_negative_or_positive_with_dice_zero_and_no_distance() -> None:
    empty = np.zeros((20, 24, 22), dtype=bool)
    false_negative, false_positive, absent = (
        compared(*masks) for masks in [(cube(1, 1, 1), empty), (empty, cube(1, 1, 1)), (empty, empty)]
    )
    assert (false_negative.presence, false_negative.dice, false_negative.hd95_mm, false_negative.volume_error) == (
        "false negative",
        0.0,
        None,
        -1.0,
    )
    assert (false_positive.presence, false_positive.dice, false_positive.assd_mm, false_positive.volume_error) == (
        "false positive",
        0.0,
        None,
        None,
    )
    assert (absent.presence, absent.dice) == ("absent", None)


def test_means_count_false_negatives_and_positives_as_zero_and_leave_agreed_absence_out(tmp_path: Path) -> None:
    a, far = cube(2, 2, 2), cube(11, 13, 12)
    for case, reference, predicted in [
        ("same", labels(v1=a, v2=far), labels(v1=a, v2=far)),
        ("false_negative", labels(v1=a, v2=far), labels(v1=a)),
        ("false_positive", labels(v1=a), labels(v1=a, v2=far)),
        ("absent", labels(v1=a), labels(v1=a)),
    ]:
        save(reference, tmp_path / "ref" / f"{case}.nii.gz")
        save(predicted, tmp_path / "pred" / f"{case}.mha")
    found = evaluate(tmp_path / "ref", tmp_path / "pred")
    one, two = found.means()
    assert (one.dice, one.cases, one.false_negatives) == (1.0, 4, 0)
    assert (two.dice, two.cases, two.false_negatives, two.false_positives) == pytest.approx((1 / 3, 3, 1, 1))
    assert two.hd95_mm == 0.0
    assert found.overall().dice == pytest.approx(2 / 3)


def test_what_nobody_contoured_is_left_out_when_asked_so_and_false_negatives_still_count(tmp_path: Path) -> None:
    a, far = cube(2, 2, 2), cube(11, 13, 12)
    for case, reference in [("contoured", labels(v1=a, v2=far)), ("uncontoured", labels(v1=a))]:
        save(reference, tmp_path / "ref" / f"{case}.nii.gz")
        save(labels(v2=far), tmp_path / "pred" / f"{case}.nii.gz")
    found = evaluate(tmp_path / "ref", tmp_path / "pred", skip_uncontoured=True)
    one, two = found.means()
    assert (one.dice, one.false_negatives) == (0.0, 2)
    assert (two.dice, two.cases, two.false_positives) == (1.0, 1, 0)
    left_out = found.of("uncontoured", 2)
    assert left_out is not None
    assert (left_out.presence, left_out.dice) == ("uncontoured", None)
    assert any("1 structure(s) that a reference does not have" in note for note in found.notes)
    assert evaluate(tmp_path / "ref", tmp_path / "pred").means()[1].false_positives == 1


@pytest.mark.parametrize(
    "layout", ["pt_1.nii.gz", "pt_1.seg.nrrd", "pt_1/seg.nii.gz", "pt_1/labels.mha", "pt_1/x.nrrd"]
)
def test_references_are_found_by_case_name_in_every_layout(tmp_path: Path, layout: str) -> None:
    save(labels(v1=cube(2, 2, 2)), tmp_path / "ref" / layout)
    if layout == "pt_1/seg.nii.gz":
        save(labels(v1=cube(1, 1, 1)), tmp_path / "ref/pt_1/ct.nii.gz")
    save(labels(v1=cube(2, 2, 2)), tmp_path / "pred" / "pt_1.nii.gz")
    assert evaluate(tmp_path / "ref", tmp_path / "pred").overall().dice == 1.0


def test_a_study_is_evaluated_by_its_own_label_table_and_a_failed_case_misses_everything(tmp_path: Path) -> None:
    a = labels(v1=cube(2, 2, 2))
    for case in ("done", "failed", "elsewhere"):
        save(labels(v1=cube(2, 2, 2), v5=cube(11, 13, 12)), tmp_path / "ref" / case / "seg.nii.gz")
    found = evaluate(tmp_path / "ref", make_study(tmp_path / "study", {"done": a, "failed": None, "unreferenced": a}))
    assert dict(found.labels) == {1: "Cube", 2: "Other"}
    assert [(f.case, f.name, f.presence) for f in found.figures] == [
        ("done", "Cube", "both"),
        ("done", "Other", "absent"),
        ("failed", "Cube", "false negative"),
        ("failed", "Other", "absent"),
    ]
    notes = " ".join(found.notes)
    assert "failed: no mask" in notes
    assert "not evaluated: unreferenced" in notes
    assert "done: seg.nii.gz: value(s) that were not asked for, not used: 5." in notes
    assert "1 reference case(s)" in notes


def test_the_reviewers_mask_is_evaluated_when_asked_for(tmp_path: Path) -> None:
    save(labels(v1=cube(2, 2, 2)), tmp_path / "ref" / "a.nrrd")
    study = make_study(tmp_path / "study", {"a": labels(v1=cube(9, 9, 9))})
    save(labels(v1=cube(2, 2, 2)), study / "cases/a/edited.seg.nrrd")
    assert evaluate(tmp_path / "ref", study).overall().dice == pytest.approx(1 / 512)
    assert evaluate(tmp_path / "ref", study, edited=True).overall().dice == 1.0
    # The pseudo mask was accepted and a correction came later, which does not count until it is decided on.
    ledger = ReviewLedger(StudyPaths(study).review, [ReviewEntry(case="a", state="accepted")])
    ledger.save()
    assert evaluate(tmp_path / "ref", study, edited=True).overall().dice == pytest.approx(1 / 512)


def test_a_prediction_on_another_grid_is_resampled_with_a_note(tmp_path: Path) -> None:
    reference = labels(v1=cube(5, 6, 7))
    finer = Volume.create(np.zeros((40, 30, 50), np.uint8), (1.5, 0.9, 1.0), (4.0, -41.0, 11.0))
    save(reference, tmp_path / "ref" / "a.nrrd")
    save(resample_labels(reference, finer), tmp_path / "pred" / "a.nrrd")
    found = evaluate(tmp_path / "ref", tmp_path / "pred")
    assert (found.overall().dice or 0) > 0.9
    assert "resampled onto the reference's grid" in found.notes[0]


def test_the_background_stroke_is_no_structure(tmp_path: Path) -> None:
    segments = (
        Segment(value=1, name="Cube", color=(1.0, 0.0, 0.0)),
        Segment(value=2, name="background", color=(0.0, 0.0, 1.0)),
    )
    both = labels(v1=cube(2, 2, 2), v2=cube(11, 13, 12))
    for folder in ("ref", "pred"):
        (tmp_path / folder).mkdir()
        write_label_map(LabelMap(both, segments), tmp_path / folder / "a.seg.nrrd")
    assert dict(evaluate(tmp_path / "ref", tmp_path / "pred").labels) == {1: "Cube"}


def test_folders_that_do_not_fit_are_refused_in_one_sentence(tmp_path: Path) -> None:
    save(labels(v1=cube(2, 2, 2)), tmp_path / "ref" / "a.nrrd")
    save(labels(v1=cube(2, 2, 2)), tmp_path / "pred" / "b.nrrd")
    with pytest.raises(InputError, match=r"Expected references of the predicted cases \(b"):
        evaluate(tmp_path / "ref", tmp_path / "pred")
    with pytest.raises(InputError, match="expected a folder of label maps"):
        evaluate(tmp_path / "nowhere", tmp_path / "pred")
    save(labels(v1=cube(2, 2, 2)), tmp_path / "ref" / "a.mha")
    with pytest.raises(InputError, match="expected one label map per case"):
        evaluate(tmp_path / "ref", tmp_path / "pred")


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    figures = (
        StructureFigures(
            case="=pt_1",
            value=1,
            name="@cmd",
            presence="both",
            dice=0.81234,
            hd95_mm=3.0,
            assd_mm=1.0,
            reference_ml=10.0,
            predicted_ml=8.0,
        ),
        StructureFigures(case="=pt_1", value=2, name="[bold]x", presence="false negative", dice=0.0, reference_ml=4.0),
        StructureFigures(case="pt_2", value=1, name="@cmd", presence="absent", dice=None),
        StructureFigures(case="pt_2", value=2, name="[bold]x", presence="false positive", dice=0.0, predicted_ml=4.0),
    )
    return Evaluation(figures=figures, labels={1: "@cmd", 2: "[bold]x"}, notes=("A note.",), predictions=tmp_path)


def test_the_csv_goes_beside_the_predictions_with_formulas_guarded_and_gaps_for_no_figure(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    path = evaluation.to_csv()
    assert path == tmp_path / "evaluation.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("case,structure,label,presence,dice,hd95_mm,assd_mm")
    assert lines[1] == "'=pt_1,'@cmd,1,both,0.8123,3.0,1.0,10.0,8.0,-2.0,-0.2"
    assert lines[2] == "'=pt_1,[bold]x,2,false negative,0.0,,,4.0,0.0,-4.0,-1.0"


def test_the_terminal_table_names_what_is_missing_and_takes_names_literally(evaluation: Evaluation) -> None:
    console = Console(width=100, record=True, file=Path("/dev/null").open("w", encoding="utf-8"))  # noqa: SIM115
    console.print(evaluation.render())
    text = console.export_text()
    for expected in ("[bold]x", "0.812", "false negative", "false positive", "absent", "A note.", "All structures"):
        assert expected in text


def test_the_box_plot_is_a_png_even_where_nothing_can_be_drawn(evaluation: Evaluation, tmp_path: Path) -> None:
    for drawn in (
        evaluation,
        Evaluation(figures=evaluation.figures[2:3], labels={1: "$a"}, notes=(), predictions=tmp_path),
    ):
        assert drawn.box_plot(tmp_path / "box.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("seed", range(4))
def test_surface_distances_are_those_of_monai(seed: int) -> None:
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    noise = np.random.default_rng(seed).normal(size=(2, 18, 20, 22))
    masks = [ndimage.gaussian_filter(each, 2) > 0 for each in noise]  # some voxels lie at the border of the image
    ours = surface_distances(masks[0], masks[1], SPACING)
    reference, predicted = (torch.from_numpy(np.pad(mask, 1))[None, None] for mask in masks)
    options = {"include_background": True, "spacing": (3.0, 1.0, 2.0)}
    hd95 = metrics.compute_hausdorff_distance(predicted, reference, percentile=95, **options)
    assd = metrics.compute_average_surface_distance(predicted, reference, symmetric=True, **options)
    assert ours == pytest.approx((float(hd95), float(assd)), abs=1e-4)


def test_what_is_not_used_of_the_references_is_told(tmp_path: Path) -> None:
    mask = labels(v1=cube(2, 2, 2))
    for folder in ("ref", "pred"):
        save(mask, tmp_path / folder / "a.nii.gz")
    for name in ("liver", "spleen"):
        save(mask, tmp_path / "ref" / "b" / f"{name}.nii.gz")
    (tmp_path / "ref" / "c" / "deep").mkdir(parents=True)
    (tmp_path / "ref" / "d.mgz").write_bytes(b"x")
    (tmp_path / "ref" / "structures.csv").write_text("value,name\n1,Cube\n", encoding="utf-8")
    notes = "\n".join(evaluate(tmp_path / "ref", tmp_path / "pred").notes)
    assert "b: a folder with 2 label maps, none of them named seg or label: not used." in notes
    assert "c: a folder with no label map: not used." in notes
    assert "no label maps, not used: d.mgz." in notes


def test_two_references_of_one_case_are_refused(tmp_path: Path) -> None:
    mask = labels(v1=cube(2, 2, 2))
    save(mask, tmp_path / "pred" / "a.nii.gz")
    for name in ("seg", "label"):
        save(mask, tmp_path / "ref" / "a" / f"{name}.nii.gz")
    with pytest.raises(InputError, match=r"expected one label map per case, found seg\.nii\.gz and label\.nii\.gz"):
        evaluate(tmp_path / "ref", tmp_path / "pred")


def test_a_reference_in_another_place_is_refused(tmp_path: Path) -> None:
    mask = labels(v1=cube(2, 2, 2))
    save(mask, tmp_path / "pred" / "a.nii.gz")
    save(Volume.create(mask.array, SPACING), tmp_path / "ref" / "a.nii.gz")
    with pytest.raises(InputError, match=r"^a: expected a reference in the place of the CT .*, found one elsewhere"):
        evaluate(tmp_path / "ref", tmp_path / "pred")


def test_what_lies_beyond_the_reference_s_grid_is_told(tmp_path: Path) -> None:
    mask = labels(v1=cube(2, 2, 2))
    save(mask, tmp_path / "pred" / "a.nii.gz")
    part = Volume.create(mask.array[:6], SPACING, mask.origin)
    save(part, tmp_path / "ref" / "a.nii.gz")
    assert any("beyond which 50% of it lie" in note for note in evaluate(tmp_path / "ref", tmp_path / "pred").notes)
