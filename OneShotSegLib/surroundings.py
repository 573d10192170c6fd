"""What libraries expect of a process's surroundings, supplied where it is missing: a user's name, a home to write to.

A container runs as any user ID (``docker run -u 1001``, OpenShift), of which the system knows neither name nor home.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

CACHES: Mapping[str, str] = {
    "XDG_CACHE_HOME": "cache",
    "MPLCONFIGDIR": "matplotlib",
    "NUMBA_CACHE_DIR": "numba",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
}
"""Variables that name the folders where libraries keep what they make, and what the folders are called here."""
COMPILED = Path(__file__).parent / "geodesic"
"""Numba keeps what it compiles next to the source, where it may."""


def prepare_process() -> None:
    """Set what is missing in this process's environment, before a library looks for it; nothing is overwritten."""
    _name_user()
    _place_caches()


def _name_user() -> None:
    """Name the user if the system does not: PyTorch and MONAI ask for a name as they are imported."""
    import getpass

    try:
        getpass.getuser()
    except (KeyError, ImportError, OSError):
        os.environ["USER"] = f"user-{os.getuid() if hasattr(os, 'getuid') else 0}"


def _place_caches() -> None:
    """Let libraries keep their caches in a temporary folder if there is no home that can be written to."""
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and a user that the system does not know
        home = None
    if home is not None and _is_writable(home):
        return
    folder = _own_temporary_folder()
    if folder is None:
        return
    wanted = {name: str(folder / place) for name, place in CACHES.items()}
    if _is_writable(COMPILED / "__pycache__") or "XDG_CACHE_HOME" in os.environ:
        del wanted["NUMBA_CACHE_DIR"]
    if home is None:
        wanted["HOME"] = str(folder)
    for name, place in wanted.items():
        os.environ.setdefault(name, place)


def _is_writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _own_temporary_folder() -> Path | None:
    """A folder that this user alone can write to, for Numba runs what it finds there; None if there can be none."""
    import tempfile

    user = os.getuid() if hasattr(os, "getuid") else 0
    try:
        folder = Path(tempfile.gettempdir()) / f"oneshotseg-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == user and not stat.S_IMODE(found.st_mode) & 0o077
        return folder if is_own or os.name == "nt" else Path(tempfile.mkdtemp(prefix="oneshotseg-"))
    except OSError:
        return None
