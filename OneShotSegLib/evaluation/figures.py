"""The figures of an evaluation: those of one structure in one case, and their means over the cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Presence = Literal["both", "false negative", "false positive", "absent", "uncontoured"]
UNCOUNTED: tuple[Presence, ...] = ("absent", "uncontoured")


@dataclass(frozen=True, kw_only=True)
class StructureFigures:
    """One structure in one case.

    Attributes:
        case: The case's name.
        value: Label value.
        name: The structure's name.
        presence: "both"; "false negative" (only the reference has it); "false positive" (only the prediction has it);
            "absent" (neither has it: agreement, which no mean counts); "uncontoured" (only the prediction has it, and
            such structures were not to be evaluated).
        dice: Dice, 0-1; 0 for false negatives and false positives; None for absent and uncontoured.
        hd95_mm: The greater of the two 95th percentiles of the distances between the surfaces, mm; None unless both.
        assd_mm: Mean of all distances from either surface to the other, mm; None unless both.
        reference_ml: Volume of the reference, ml.
        predicted_ml: Volume of the prediction, ml.
    """

    case: str
    value: int
    name: str
    presence: Presence
    dice: float | None
    hd95_mm: float | None = None
    assd_mm: float | None = None
    reference_ml: float = 0.0
    predicted_ml: float = 0.0

    @property
    def volume_error_ml(self) -> float:
        """Prediction minus reference, ml."""
        return self.predicted_ml - self.reference_ml

    @property
    def volume_error(self) -> float | None:
        """Prediction minus reference, over the reference; None where the reference is empty."""
        return self.volume_error_ml / self.reference_ml if self.reference_ml else None


@dataclass(frozen=True, kw_only=True)
class StructureMeans:
    """The means of one structure over the cases.

    Attributes:
        name: The structure's name, or "All structures".
        cases: How many cases are counted: those where the reference or the prediction has it.
        false_negatives: In how many only the reference has it.
        false_positives: In how many only the prediction has it.
        dice: Mean Dice over the counted cases, false negatives and false positives as 0; None if none is counted.
        hd95_mm: Mean HD95 over the cases where both have it, mm; None if there is none.
        assd_mm: Mean ASSD over the same cases, mm; None if there is none.
        volume_error: Mean of the unsigned volume errors over the reference's volume where there is one; a false
            negative counts 1.
    """

    name: str
    cases: int
    false_negatives: int
    false_positives: int
    dice: float | None
    hd95_mm: float | None
    assd_mm: float | None
    volume_error: float | None


def means_by_structure(figures: Sequence[StructureFigures], labels: Mapping[int, str]) -> tuple[StructureMeans, ...]:
    """The means of each structure, in the order of the labels.

    Args:
        figures: All figures.
        labels: Value and name of the structures evaluated.
    """
    return tuple(_means(name, [f for f in figures if f.value == value]) for value, name in labels.items())


def overall_means(each: Sequence[StructureMeans]) -> StructureMeans:
    """The means of the structures' means, so that a structure counts the same in however many cases it is."""
    return StructureMeans(
        name="All structures",
        cases=sum(m.cases for m in each),
        false_negatives=sum(m.false_negatives for m in each),
        false_positives=sum(m.false_positives for m in each),
        dice=_mean(m.dice for m in each),
        hd95_mm=_mean(m.hd95_mm for m in each),
        assd_mm=_mean(m.assd_mm for m in each),
        volume_error=_mean(m.volume_error for m in each),
    )


def _means(name: str, figures: Sequence[StructureFigures]) -> StructureMeans:
    counted = [f for f in figures if f.presence not in UNCOUNTED]
    return StructureMeans(
        name=name,
        cases=len(counted),
        false_negatives=sum(f.presence == "false negative" for f in counted),
        false_positives=sum(f.presence == "false positive" for f in counted),
        dice=_mean(f.dice for f in counted),
        hd95_mm=_mean(f.hd95_mm for f in counted),
        assd_mm=_mean(f.assd_mm for f in counted),
        volume_error=_mean(None if f.volume_error is None else abs(f.volume_error) for f in counted),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
