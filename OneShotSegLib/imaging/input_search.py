"""The search for CTs in files and folders, to the bottom: each volume found is a CT, or left out with a reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.detached import HEADERS as DETACHED_HEADERS
from OneShotSegLib.imaging.detached import voxel_files
from OneShotSegLib.imaging.dicom.headers import BrokenHeaderError, looks_like_dicom, read_header
from OneShotSegLib.imaging.dicom.headers import text as element_text
from OneShotSegLib.imaging.dicom.search import SeriesInfo, scan_files
from OneShotSegLib.imaging.file_kinds import file_kind
from OneShotSegLib.imaging.files import stem_of, suffix_of
from OneShotSegLib.imaging.inputs import Found, FoundCT, Kind, LeftOut, absolute, lines

LeaveOut = Callable[[FoundCT | Path], LeftOut | None]
"""Why a CT, or a folder with all that is below it, is left out; None if it is not."""
NOT_READ = frozenset(
    (
        *(".img", ".hdr", ".mgz", ".mgh", ".gipl", ".mnc", ".vtk", ".vti", ".tif", ".tiff", ".nia"),
        *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"),
    )
)
"""Suffixes of images that are not read, and of archives that may hold some."""
VOXELS_OF_OTHERS = (".raw", ".zraw", ".raw.gz", ".bin")
"""Files next to a header of the same name that need not be named, as its voxels may have been."""
KINDS_OF_MODALITIES = {
    "RTSTRUCT": (Kind.STRUCTURE_SET, "a structure set (RTSTRUCT)"),
    "RTDOSE": (Kind.DOSE, "a dose (RTDOSE)"),
    "RTPLAN": (Kind.PLAN, "a plan (RTPLAN)"),
    "SEG": (Kind.LABEL_MAP, "a DICOM segmentation"),
}
SHOWN_SERIES = 8


def leave_out_nothing(_: FoundCT | Path) -> LeftOut | None:
    """A `LeaveOut` that leaves nothing out."""
    return None


def search(paths: Iterable[Path], leave_out: LeaveOut = leave_out_nothing, series: Sequence[str] = ()) -> Found:
    """Search files and folders, to the bottom, for CTs.

    Args:
        paths: Files and folders.
        leave_out: What else is not to be used, and why.
        series: Which series to take of a folder that holds several CT series: texts that are each the UID, the
            description, or a part of the description, in any case of letters.

    Returns:
        The CTs, and everything else with the reason why it is not used. Files of kinds that are never used are
        summarised per path.

    Raises:
        InputError: If a path is not there, or nothing is a CT.
    """
    queries, search_ = list(paths), _Search(leave_out, tuple(series))
    for path in queries:
        search_.take(path)
    found = search_.found()
    if not found.cts:
        raise InputError(_nothing_found(queries, found))
    return found


def find_volumes(path: Path) -> list[Path]:
    """The CTs that a path names: a file, a DICOM folder, or a folder of such.

    Raises:
        InputError: If there is none.
    """
    return [ct.path for ct in search([path]).cts]


def series_in(path: Path, series: Sequence[str]) -> str:
    """The UID of the series that texts choose of a folder with several CT series; '' where there is no such choice."""
    if not series or not path.is_dir():
        return ""
    cts = [one for one in scan_files(path)[0] if one.is_ct and one.slices > 1]
    chosen = {matching[0].uid for text in series if len(matching := _matching(cts, text)) == 1}
    return chosen.pop() if len(cts) > 1 and len(chosen) == 1 else ""


def may_hold_cts(folder: Path) -> bool:
    """Whether a folder has a file in or below it that could be a CT; looks no further than the first."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = (Path(place, name) for name in names if not name.startswith("."))
        if any(suffix_of(path) or looks_like_dicom(path) for path in files):
            return True
    return False


def _nothing_found(paths: Sequence[Path], found: Found) -> str:
    if len(found.left_out) == 1:
        return f"{found.left_out[0].path}: expected a CT, found {found.left_out[0].reason}."
    listed = "; ".join(lines(found.left_out)[:SHOWN_SERIES])
    searched = ", ".join(map(str, paths[:3])) + (", ..." if len(paths) > 3 else "")
    found_instead = f" ({listed})" if listed else ""
    return f"{searched}: expected NIfTI, NRRD, MetaImage files or DICOM series of CTs, found none{found_instead}."


@dataclass
class _Search:
    leave_out: LeaveOut
    series: tuple[str, ...]
    cts: list[FoundCT] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    seen: dict[str, Path] = field(default_factory=dict)
    uids: dict[str, list[tuple[FoundCT, SeriesInfo]]] = field(default_factory=dict)
    root: Path = Path()
    others: Counter[str] = field(default_factory=Counter)
    hidden: list[str] = field(default_factory=list)

    def take(self, path: Path) -> None:
        """Search one query."""
        if not os.path.lexists(path):
            raise InputError(f"{path}: no such file or folder.")
        self.root, self.others, self.hidden = absolute(path), Counter(), []
        if self.root.is_dir():
            self._folder(self.root, ())
        elif self.root.is_file() and not suffix_of(self.root) and looks_like_dicom(self.root):
            self._slice(self.root)
        else:
            self._files([self.root], explicit=True)
        self._sum_up()

    def found(self) -> Found:
        """All that was found so far."""
        self._leave_out_divided()
        return Found(cts=tuple(self.cts), left_out=tuple(self.left_out))

    def _leave(self, path: Path, kind: Kind, reason: str, count: int = 1) -> None:
        self.left_out.append(LeftOut(path=path, kind=kind, reason=reason, count=count))

    def _is_new(self, path: Path) -> bool:
        """Whether a path leads to what was not seen yet; a second way to the same is noted."""
        real = os.path.realpath(path)
        known = self.seen.setdefault(real, path)
        if known is path:
            return True
        if known != path:
            self._leave(path, Kind.SAME, f"the same as {known}")
        return False

    def _folder(self, folder: Path, above: tuple[str, ...]) -> None:
        real = os.path.realpath(folder)
        if real in above:
            self._leave(folder, Kind.CIRCLE, "a link that leads back to a folder that it is in")
            return
        reason = self.leave_out(folder)
        if reason is not None:
            self.left_out.append(reason)
            return
        if not self._is_new(folder):
            return
        try:
            entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
        except OSError as error:
            self._leave(folder, Kind.UNREADABLE, f"a folder that cannot be read ({error.strerror or error})")
            return
        self.hidden += [entry.name for entry in entries if entry.name.startswith(".")]
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        folders = [entry for entry in shown if entry.is_dir()]
        self._files([entry for entry in shown if entry not in folders])
        # Links last: of two ways to a folder, the one that is its own place is taken.
        for entry in sorted(folders, key=lambda entry: entry.is_symlink()):
            self._folder(entry, (*above, real))

    def _files(self, files: Sequence[Path], explicit: bool = False) -> None:
        """The files of one folder."""
        rest = []
        for path in sorted(files, key=lambda path: path.is_symlink()):
            if not path.exists():
                self._leave(path, Kind.BROKEN_LINK, "a broken link")
            elif not path.is_file():
                self._leave(path, Kind.UNREADABLE, "no file, but a pipe, a socket or a device")
            elif suffix_of(path):
                self._volume(path, explicit)
            else:
                rest.append(path)
        dicom = self._dicom(rest[0].parent) if rest and not explicit else ()
        headers = [path for path in files if suffix_of(path) in DETACHED_HEADERS]
        stems = {stem_of(path) for path in headers}
        voxels = {file for path in headers for file in voxel_files(path)}
        for path in rest:
            if path in dicom or path in voxels:
                continue
            if path.name.endswith(VOXELS_OF_OTHERS) and path.name.split(".")[0] in stems:
                continue
            self.others["".join(path.suffixes[-1:]).lower() or "without a suffix"] += 1

    def _volume(self, path: Path, explicit: bool) -> None:
        if not self._is_new(path):
            return
        reason = self.leave_out(FoundCT(path=path))
        self._keep(reason or file_kind(path, explicit))

    def _keep(self, found: FoundCT | LeftOut) -> None:
        if isinstance(found, LeftOut):
            self.left_out.append(found)
        else:
            self.cts.append(found)

    def _slice(self, path: Path) -> None:
        """A DICOM file that was named: its folder's series."""
        if os.path.realpath(path.parent) not in self.seen:
            self.seen[os.path.realpath(path.parent)] = path.parent
            self._dicom(path.parent)

    def _dicom(self, folder: Path) -> set[Path]:
        """The DICOM series of one folder; its DICOM files come back."""
        series, broken = scan_files(folder)
        for path, what in broken.items():
            self._leave(path, Kind.UNREADABLE, what)
        cts = [one for one in series if one.is_ct and one.slices > 1]
        # Files that do not say what they are may be a CT where nothing else is.
        cts = cts or [one for one in series if one.is_scan and one.slices > 1 and not one.modality]
        for one in series:
            if one not in cts:
                self._leave(one.files[0] if len(one.files) == 1 else folder, *_kind_of(one))
        if len(cts) == 1:
            self._series(folder, cts[0], "")
        elif cts:
            self._choose(folder, cts)
        return {*broken, *(path for one in series for path in one.files)}

    def _series(self, folder: Path, one: SeriesInfo, uid: str) -> None:
        size = (one.slices,)
        ct = FoundCT(path=folder, series=uid, description=one.description, size=size)
        reason = self.leave_out(ct)
        self._keep(reason or ct)
        if reason is None:
            self.uids.setdefault(one.uid, []).append((ct, one))

    def _choose(self, folder: Path, cts: Sequence[SeriesInfo]) -> None:
        """Take the series that were asked for of a folder with several CT series."""
        chosen: list[SeriesInfo] = []
        for text in self.series:
            matching = _matching(cts, text)
            if len(matching) > 1:
                reason = f"--series {text!r} matches several of its CT series: {_listed(matching)}"
                self._leave(folder, Kind.SEVERAL_SERIES, reason)
                return
            chosen += [one for one in matching if one not in chosen]
        if not chosen:
            asked = f", none of which matches --series {', '.join(map(repr, self.series))}" if self.series else ""
            reason = f"{len(cts)} CT series{asked}: {_listed(cts)}; --series TEXT chooses one"
            self._leave(folder, Kind.SEVERAL_SERIES, reason)
            return
        for one in cts:
            if one in chosen:
                self._series(folder, one, one.uid)
            else:
                self._leave(folder, Kind.NOT_CHOSEN, f"the CT series {_described(one)}, not chosen by --series")

    def _leave_out_divided(self) -> None:
        """Leave out series of which each of several folders has a part: none of them is the whole CT."""
        for parts in self.uids.values():
            if len(parts) < 2:
                continue
            instances = [_instances(one.files) for _, one in parts]
            if len(set().union(*instances)) == sum(map(len, instances)):
                for ct, _ in parts:
                    self.cts.remove(ct)
                    reason = f"a part of a series that lies in {len(parts)} folders: put its slices into one"
                    self._leave(ct.path, Kind.DIVIDED_SERIES, reason)
        self.uids.clear()

    def _sum_up(self) -> None:
        """Note the files of one query that are never used, by kind."""
        for kind, is_of in ((Kind.NOT_READ, NOT_READ.__contains__), (Kind.OTHER_FILE, lambda s: s not in NOT_READ)):
            counts = {suffix: count for suffix, count in self.others.items() if is_of(suffix)}
            if counts:
                total = sum(counts.values())
                self._leave(self.root, kind, f"{kind.counted(total)} ({', '.join(sorted(counts))})", total)
        if self.hidden:
            shown = ", ".join(sorted(set(self.hidden))[:3]) + (", ..." if len(set(self.hidden)) > 3 else "")
            reason = f"{Kind.HIDDEN.counted(len(self.hidden))} ({shown})"
            self._leave(self.root, Kind.HIDDEN, reason, len(self.hidden))


def _instances(files: Iterable[Path]) -> set[str]:
    """The SOP instance UIDs of DICOM files, those of damaged ones left out."""
    found = set()
    for path in files:
        with suppress(BrokenHeaderError):
            data = read_header(path, ["SOPInstanceUID", "SeriesInstanceUID"])
            found.add("" if data is None else element_text(data, "SOPInstanceUID"))
    return found - {""}


def _kind_of(one: SeriesInfo) -> tuple[Kind, str]:
    """Why a series is no CT to use."""
    if one.modality.upper() in KINDS_OF_MODALITIES:
        return KINDS_OF_MODALITIES[one.modality.upper()]
    if one.is_localizer:
        return Kind.LOCALIZER, f"a localizer{_quoted(one.description)}"
    if not one.is_scan:
        return Kind.OTHER_DICOM, f"a DICOM object of another kind ({one.modality or 'no modality'})"
    if not one.is_ct and one.modality:
        return Kind.MODALITY, f"{one.modality}{_quoted(one.description)}"
    return Kind.SINGLE_SLICE, f"a single slice, not a volume{_quoted(one.description)}"


def _quoted(description: str) -> str:
    return f" ({_short(description)!r})" if description else ""


def _short(description: str) -> str:
    return " ".join(description.split())[:60]


def _described(one: SeriesInfo) -> str:
    return f"{_short(one.description) or one.uid} ({one.slices} slices)"


def _listed(series: Sequence[SeriesInfo]) -> str:
    shown = ", ".join(_described(one) for one in series[:SHOWN_SERIES])
    return shown + (f" and {len(series) - SHOWN_SERIES} more" if len(series) > SHOWN_SERIES else "")


def _matching(series: Sequence[SeriesInfo], text: str) -> list[SeriesInfo]:
    """The series that a text chooses: by UID, else by the whole description, else by a part of it."""
    wanted = text.strip().casefold()
    described = [(one, " ".join(one.description.split()).casefold()) for one in series]
    return (
        [one for one in series if one.uid == text.strip()]
        or [one for one, description in described if description == wanted]
        or [one for one, description in described if wanted and wanted in description]
    )
