"""The options that several commands share; their defaults are those of the requests that they fill."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from OneShotSegLib.errors import InputError


class Events(StrEnum):
    """How a run reports what it does."""

    text = "text"
    json = "json"


Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
EventsOption = Annotated[Events, typer.Option(help="'json' prints one JSON object per line on standard output.")]
SeriesOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Which CT series to take of a folder that holds several: a part of the description, or the UID; "
        "may be repeated."
    ),
]
Study = Annotated[Path, typer.Argument(help="The study folder.")]


def three_numbers(text: str, option: str) -> tuple[float, float, float]:
    """Three numbers given as z,y,x.

    Args:
        text: The option's value.
        option: Its name, for the message.

    Raises:
        InputError: If these are not three numbers.
    """
    try:
        z, y, x = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"{option}: expected three numbers as z,y,x, found {text!r}.") from error
    return z, y, x


def three_whole_numbers(text: str, option: str) -> tuple[int, int, int]:
    """Three whole numbers given as z,y,x; see `three_numbers`.

    Raises:
        InputError: If these are not three whole numbers.
    """
    numbers = three_numbers(text, option)
    if not all(number.is_integer() for number in numbers):
        raise InputError(f"{option}: expected three whole numbers as z,y,x, found {text!r}.")
    z, y, x = (int(number) for number in numbers)
    return z, y, x


def as_option(numbers: tuple[int, int, int] | tuple[float, float, float]) -> str:
    """Three numbers as such an option has them."""
    return ",".join(f"{number:g}" for number in numbers)


def print_error(text: str) -> None:
    """Print a text for people, which is no result, on standard error."""
    print(text, file=sys.stderr)
