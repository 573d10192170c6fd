"""Compiling functions with Numba, kept on disk for the next run where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile to run without Python's lock; cache the result next to the source, or else in the user's cache folder.

    Where neither can be written (a read-only container without a home folder) each process compiles anew.
    """
    try:
        return cast(Function, njit(cache=True, nogil=True)(function))
    except RuntimeError:
        return cast(Function, njit(nogil=True)(function))


def cache_folder(module: ModuleType) -> str | None:
    """Where the compiled functions of a module are kept; None if they are compiled anew by each process."""
    for function in vars(module).values():
        cache = getattr(function, "_cache", None)
        folder = getattr(cache, "cache_path", None)
        if isinstance(folder, str):
            return folder
    return None
