"""Long commands take every core, and let what the machine's user does go first."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from typing import Any

LONG = frozenset({"demo", "propagate", "segment", "train-prnet", "train-seg"})
LOW_PRIORITY = 5
BELOW_NORMAL_PRIORITY_CLASS = 0x4000


def give_way() -> None:
    """Let every other program go first from now on, child processes included; where none computes, it costs nothing."""
    with contextlib.suppress(OSError, AttributeError):  # a system that has no such thing
        if sys.platform == "win32":
            kernel: Any = ctypes.windll.kernel32
            kernel.SetPriorityClass(kernel.GetCurrentProcess(), BELOW_NORMAL_PRIORITY_CLASS)
        else:
            os.nice(max(LOW_PRIORITY - os.nice(0), 0))
