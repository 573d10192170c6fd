"""The settings of the method that a request names."""

from __future__ import annotations

from OneShotSegLib.errors import InputError
from OneShotSegLib.method.settings import METHODS, Method


def method_named(method: str | Method) -> Method:
    """The settings of this name; settings as they are.

    Raises:
        InputError: If there are none of that name.
    """
    if isinstance(method, Method):
        return method
    if method not in METHODS:
        raise InputError(f"Expected a method of {', '.join(METHODS)}, found {method!r}.")
    return METHODS[method]
