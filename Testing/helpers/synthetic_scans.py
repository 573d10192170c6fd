"""Synthetic scans of a ball in the patient's space, as DICOM files of any geometry; where the ball lies is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from OneShotSegLib.imaging.volume import Volume

AIR, BODY, BALL = -1000, 0, 400
THRESHOLD = 200
RADIUS = 20.0
CENTRE = np.array([12.0, -150.0, 731.0])
"""LPS mm, x, y, z."""
Edit = Callable[[Dataset, int], None]


def hounsfield(world: np.ndarray) -> np.ndarray:
    """HU at positions (..., 3) in LPS mm x, y, z: a ball in water, and air far from it."""
    distance = np.linalg.norm(world - CENTRE, axis=-1)
    # The border is 2 mm wide: what is sampled rightly has the threshold at the ball's surface.
    ball = BODY + (BALL - BODY) * np.clip((RADIUS + 1 - distance) / 2, 0, 1)
    return np.where(distance > 2.2 * RADIUS, AIR, ball)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Slices of the ball's surroundings.

    Attributes:
        axes: Unit vectors along a row, along a column and along the normal, as rows, x, y, z.
        pixel: Distance between rows, and between columns, mm.
        size: Rows and columns.
        along: Where the slices lie along the normal, mm from the ball's centre.
        drift: How far the slices move along a row and along a column per mm along the normal.
        scales: Slope and intercept of each slice.
    """

    axes: np.ndarray = field(default_factory=lambda: np.eye(3))
    pixel: tuple[float, float] = (1.5, 1.5)
    size: tuple[int, int] = (48, 48)
    along: np.ndarray = field(default_factory=lambda: np.arange(-30, 30.1, 3.0))
    drift: tuple[float, float] = (0.0, 0.0)
    scales: tuple[tuple[float, float], ...] = ((1.0, -1024.0),)

    @property
    def positions(self) -> np.ndarray:
        """Centre of the first pixel of each slice, shape (N, 3)."""
        row, column, normal = self.axes
        corner = CENTRE - row * self.pixel[1] * (self.size[1] - 1) / 2 - column * self.pixel[0] * (self.size[0] - 1) / 2
        sideways = self.drift[0] * row + self.drift[1] * column + normal
        return corner + self.along[:, None] * sideways

    def pixels_of(self, number: int) -> np.ndarray:
        """Positions of a slice's pixels, shape (rows, columns, 3)."""
        rows, columns = (np.arange(n) for n in self.size)
        down = self.axes[1] * self.pixel[0] * rows[:, None, None]
        return self.positions[number] + down + self.axes[0] * self.pixel[1] * columns[None, :, None]

    def stored(self, number: int) -> tuple[np.ndarray, float, float]:
        """A slice's stored values, with its slope and intercept."""
        slope, intercept = self.scales[number % len(self.scales)]
        values = (hounsfield(self.pixels_of(number)) - intercept) / slope
        return np.round(values).astype("<i2"), slope, intercept

    def without(self, *numbers: int) -> Scan:
        """The same scan without some slices."""
        return replace(self, along=np.delete(self.along, numbers))


def write_scan(
    folder: Path, scan: Scan, edit: Edit | None = None, order: Sequence[int] | None = None, uids: Dataset | None = None
) -> Dataset:
    """Write a CT with one file per slice.

    Args:
        folder: Where; it may have other files.
        scan: The slices.
        edit: Changes the header of a slice, of which it gets the number.
        order: Numbers of the slices in the order of files and instance numbers.
        uids: What an earlier call returned: the slices become some of the same series.

    Returns:
        The UIDs of the series.
    """
    folder.mkdir(parents=True, exist_ok=True)
    uids = uids or _uids()
    start = len(list(folder.iterdir()))
    for place, number in enumerate(range(len(scan.along)) if order is None else order):
        data = _file(CTImageStorage, uids)
        data.InstanceNumber = start + place + 1
        pixels, data.RescaleSlope, data.RescaleIntercept = scan.stored(number)
        data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.ImagePositionPatient = _decimal(scan.positions[number])
        data.ImageOrientationPatient = _decimal(scan.axes[:2].ravel())
        data.PixelSpacing, data.SliceThickness = _decimal(scan.pixel), "3"
        _put_pixels(data, pixels)
        if edit is not None:
            edit(data, number)
        data.save_as(folder / f"IM{start + place:04d}.dcm", enforce_file_format=True)
    return uids


def write_enhanced(
    folder: Path, scan: Scan, order: Sequence[int] | None = None, edit: Edit | None = None, shared: bool = True
) -> Path:
    """Write a CT as one multi-frame file.

    Args:
        folder: Where.
        scan: The slices.
        order: Numbers of the slices in the order of the frames.
        edit: Changes the description of a frame, of which it gets the number of its slice.
        shared: Keep what all frames have alike in the shared group, else in that of each frame.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = list(range(len(scan.along)) if order is None else order)
    data = _file(EnhancedCTImageStorage, _uids())
    data.InstanceNumber, data.NumberOfFrames = 1, len(numbers)
    data.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    data.ContentDate, data.ContentTime = "20200102", "101112"
    common = Dataset()
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = _decimal(scan.pixel), "3"
    plane.ImageOrientationPatient = _decimal(scan.axes[:2].ravel())
    frames, planes = [], []
    for place, number in enumerate(numbers):
        frame, position, values, content = Dataset(), Dataset(), Dataset(), Dataset()
        pixels, values.RescaleSlope, values.RescaleIntercept = scan.stored(number)
        values.RescaleType = "HU"
        position.ImagePositionPatient = _decimal(scan.positions[number])
        content.StackID, content.InStackPositionNumber = "1", number + 1
        content.DimensionIndexValues = [1, place + 1]
        frame.PlanePositionSequence, frame.FrameContentSequence = [position], [content]
        frame.PixelValueTransformationSequence = [values]
        if not shared:
            frame.PixelMeasuresSequence, frame.PlaneOrientationSequence = [measures], [plane]
        if edit is not None:
            edit(frame, number)
        frames.append(frame)
        planes.append(pixels)
    if shared:
        common.PixelMeasuresSequence, common.PlaneOrientationSequence = [measures], [plane]
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [common], frames
    _put_pixels(data, np.stack(planes))
    path = folder / "enhanced.dcm"
    data.save_as(path, enforce_file_format=True)
    return path


def _uids() -> Dataset:
    uids = Dataset()
    uids.StudyInstanceUID, uids.SeriesInstanceUID, uids.FrameOfReferenceUID = (generate_uid() for _ in range(3))
    return uids


def _file(sop_class: UID, uids: Dataset) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    data.update(uids)
    data.Modality, data.SeriesNumber, data.Manufacturer = "CT", 3, "Made for tests"
    data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "A^B", "7", "", "O"
    data.StudyDate, data.StudyTime, data.StudyID = "20200102", "101112", "1"
    data.AccessionNumber = data.ReferringPhysicianName = data.PositionReferenceIndicator = ""
    return data


def _put_pixels(data: Dataset, pixels: np.ndarray) -> None:
    data.Rows, data.Columns = pixels.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 1
    data.PixelData = np.ascontiguousarray(pixels).tobytes()


def _decimal(values: Sequence[float] | np.ndarray) -> list[str]:
    return [f"{value:.10g}"[:16] for value in values]


def ball_labels(ct: Volume) -> Volume:
    """The ball as a label map on a read scan's own grid, found by its values there."""
    return ct.with_array((ct.array > THRESHOLD).astype(np.uint8))


def ball_dice(labels: Volume) -> float:
    """Dice, over points in the patient's space, of a label map with where the ball is."""
    points = CENTRE + np.random.default_rng(0).uniform(-1.6 * RADIUS, 1.6 * RADIUS, (40_000, 3))
    index = np.rint(labels.to_index(points[:, ::-1])).astype(int)
    inside = ((index >= 0) & (index < labels.shape)).all(axis=1)
    found = np.zeros(len(points), dtype=bool)
    found[inside] = labels.array[tuple(index[inside].T)] > 0
    return dice(found, np.linalg.norm(points - CENTRE, axis=1) < RADIUS)


def dice(found: np.ndarray, expected: np.ndarray) -> float:
    """Dice of two masks of one shape."""
    return float(2 * (found & expected).sum() / max(1, found.sum() + expected.sum()))
