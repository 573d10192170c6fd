"""Write docs/cli.md from the command line's own definition, so that it cannot go stale.

Usage: python tools/cli_reference.py [--check]

With --check nothing is written; exit status 1 if the page is not what it should be.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "cli.md"
NAME = "oneshotseg"
HEAD = """# Command line

<!-- Written by tools/cli_reference.py (make docs-cli); changes by hand are lost. -->

`oneshotseg` is on the path after `pip install`, in `.venv/bin/` after `make`; `python -m OneShotSegLib` is the same.
`oneshotseg --version` prints the version and the build, `oneshotseg --install-completion` sets up
[completion](installation.md#completion-in-the-shell).

A **volume** is a NIfTI, NRRD or MetaImage file, or a folder with one DICOM series; where several are taken, a folder of
such, searched to the bottom, stands for all of them. `--events json` prints one JSON object per line on standard output
([events](events.md)); text for people goes to standard error.

## Exit status

| status | what |
| --- | --- |
"""
KINDS = {str: "text", int: "whole number", float: "number", Path: "path", bool: "flag"}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """An argument or option of a command.

    Attributes:
        name: Its name in Python.
        info: What typer was told of it.
        kind: Its type, that of an item where it is repeatable.
        is_list: Whether it may be repeated.
        default: Its default; `inspect.Parameter.empty` if it has none.
    """

    name: str
    info: ArgumentInfo | OptionInfo
    kind: Any
    is_list: bool
    default: Any

    @property
    def is_argument(self) -> bool:
        """Whether it is given by its place."""
        return isinstance(self.info, ArgumentInfo)

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty

    @property
    def flags(self) -> list[str]:
        """What an option is called by."""
        # Within Annotated the first name arrives where a default would be.
        names = [self.info.default, *(self.info.param_decls or ())]
        declared = [flag for text in names if isinstance(text, str) and text[:1] == "-" for flag in text.split("/")]
        plain = f"--{self.name.replace('_', '-')}"
        return declared or ([plain, f"--no-{plain[2:]}"] if self.kind is bool else [plain])

    @property
    def place(self) -> str:
        """An argument in a usage line."""
        return self.name.upper() + ("..." if self.is_list else "")


def main() -> None:
    """Write the page, or compare it."""
    sys.path.insert(0, str(ROOT))
    text = reference()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8", newline="\n")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{PAGE.relative_to(ROOT)} does not match the commands: run make docs-cli.")


def reference() -> str:
    """The page's text."""
    from OneShotSegLib.cli.app import app
    from OneShotSegLib.exit_status import ExitStatus

    meanings = {
        ExitStatus.DONE: "everything was done",
        ExitStatus.SOME_FAILED: "some cases failed; the others are there",
        ExitStatus.BAD_INPUT: "bad arguments or input; one sentence on standard error says why",
        ExitStatus.CANCELLED: "cancelled; what was done is kept, and the same command goes on from there",
    }
    status = "".join(f"| {int(number)} | {meanings[number]} |\n" for number in ExitStatus)
    return "\n".join([HEAD + status, *(_section(words, function) for words, function in commands(app))])


def commands(app: typer.Typer, words: str = NAME) -> Iterator[tuple[str, Any]]:
    """Each command with the words that call it, in the order of the help."""
    for command in app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")  # type: ignore[union-attr]
        yield f"{words} {name}", command.callback
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, f"{words} {group.name}")


def parameters(function: Any) -> Iterator[Parameter]:
    """The parameters of a command's function, in its order."""
    hints = get_type_hints(function, include_extras=True)
    for name, plain in inspect.signature(function).parameters.items():
        kind, *about = get_args(hints[name])
        info = next(part for part in about if isinstance(part, ArgumentInfo | OptionInfo))
        if isinstance(kind, UnionType):
            kind = next(part for part in get_args(kind) if part is not type(None))
        is_list = get_origin(kind) is list
        yield Parameter(
            name=name,
            info=info,
            kind=get_args(kind)[0] if is_list else kind,
            is_list=is_list,
            default=plain.default,
        )


def _section(words: str, function: Any) -> str:
    everything = list(parameters(function))
    arguments = [p for p in everything if p.is_argument]
    options = [p for p in everything if not p.is_argument]
    required = [f"{p.flags[0]} {p.name.upper()}" for p in options if p.is_required]
    optional = ["[OPTIONS]"] if len(required) < len(options) else []
    usage = " ".join([words, *required, *optional, *(p.place for p in arguments)])
    lines = [f"## {words}", "", inspect.getdoc(function) or "", "", "```text", usage, "```", ""]
    if arguments:
        lines += ["| argument | what |", "| --- | --- |"]
        lines += [f"| `{p.place}` | {_text(p)} |" for p in arguments]
        lines.append("")
    if options:
        lines += ["| option | type | default | what |", "| --- | --- | --- | --- |"]
        lines += [f"| {_code(p.flags)} | {_type(p)} | {_default(p)} | {_text(p)} |" for p in options]
        lines.append("")
    return "\n".join(lines)


def _type(parameter: Parameter) -> str:
    kind, info = parameter.kind, parameter.info
    words = _code([member.value for member in kind]) if issubclass(kind, Enum) else KINDS[kind]
    if info.min is not None:
        words += f", {info.min:g} and more" if info.max is None else f", {info.min:g} to {info.max:g}"
    return words + (", repeatable" if parameter.is_list else "")


def _default(parameter: Parameter) -> str:
    value = parameter.default
    if parameter.is_required:
        return "required"
    if parameter.kind is bool:
        return f"`{parameter.flags[0 if value else 1]}`" if len(parameter.flags) > 1 else ""
    value = value.value if isinstance(value, Enum) else value
    return "" if value is None or value == "" else f"`{value}`"


def _code(texts: list[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def _text(parameter: Parameter) -> str:
    return " ".join((parameter.info.help or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
