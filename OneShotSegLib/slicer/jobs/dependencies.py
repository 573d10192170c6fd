"""The Python packages that the computation needs, installed into Slicer's Python with consent.

What Slicer brings itself (numpy, SimpleITK, scipy, ...) is never replaced, and PyTorch comes through the PyTorch
extension, which knows the version for the graphics card.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from OneShotSegLib.errors import InputError
from OneShotSegLib.slicer.i18n import tr as _

TORCH = "torch"
TORCH_MINIMUM = ">=2.5"
WHEELS_ONLY = ("--only-binary=:all:", "--prefer-binary")


class Pip(Protocol):
    """Installs packages."""

    def __call__(self, requirements: list[str]) -> Any:
        """Takes the arguments after ``pip install``."""


def read_requirements(path: Path) -> tuple[str, ...]:
    """The lines of a requirements file, without comments and options."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line and not line.startswith(("#", "-")))


def is_satisfied(requirement: str) -> bool:
    """Whether an installed package meets a requirement; nothing is imported."""
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    if wanted.marker is not None and not wanted.marker.evaluate():
        return True
    try:
        installed = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return False
    return wanted.specifier.contains(installed, prereleases=True)


def installed_pins(wanted: Iterable[str]) -> tuple[str, ...]:
    """Every installed package at its version, but for the wanted ones: pip may add packages, not change another one."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    free = {canonicalize_name(Requirement(name).name) for name in wanted}
    pins = {canonicalize_name(dist.name): dist.version for dist in metadata.distributions() if dist.name}
    return tuple(f"{name}=={version}" for name, version in sorted(pins.items()) if version and name not in free)


def slicer_pip(requirements: list[str]) -> None:
    """Install through Slicer: `slicer.packaging` of 5.12 and later, `slicer.util` before."""
    try:
        from slicer.packaging import pip_install
    except ImportError:
        from slicer.util import pip_install
    pip_install(requirements)


def slicer_torch(requirement: str) -> Any:
    """Install PyTorch through the PyTorch extension; None if that did not work.

    Raises:
        InputError: If the extension is not there.
    """
    try:
        import PyTorchUtils
    except ImportError as error:
        raise InputError(
            _("PyTorch is missing: install the PyTorch extension in the Extensions Manager, then restart Slicer.")
        ) from error
    return PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=requirement)


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """What has to be there.

    Attributes:
        requirements: Without torch.
        confirm: Asks the user a question; whether they agree.
        pip: Installs packages.
        install_torch: Installs PyTorch.
        satisfied: Whether a requirement is met.
    """

    requirements: Sequence[str]
    confirm: Callable[[str], bool]
    pip: Pip = slicer_pip
    install_torch: Callable[[str], Any] = slicer_torch
    satisfied: Callable[[str], bool] = is_satisfied

    def missing(self) -> tuple[str, ...]:
        """What is not there yet, torch first."""
        return tuple(name for name in (TORCH + TORCH_MINIMUM, *self.requirements) if not self.satisfied(name))

    def ensure(self) -> bool:
        """Install what is missing, if the user agrees; whether everything is there now.

        Raises:
            InputError: If something could not be installed.
        """
        missing = self.missing()
        if not missing:
            return True
        text = _("The computation needs Python packages that are not installed yet:\n\n{packages}\n\nInstall them now?")
        if not self.confirm(text.format(packages="\n".join(missing))):
            return False
        try:
            self._install(missing)
        except InputError:
            raise
        except Exception as error:  # pip and PyTorchUtils raise errors of any type
            raise InputError(_("The packages could not be installed: {reason}").format(reason=error)) from error
        importlib.invalidate_caches()
        still = self.missing()
        if still:
            raise InputError(_("Still missing after installing: {packages}.").format(packages=", ".join(still)))
        return True

    def _install(self, missing: Iterable[str]) -> None:
        others = [name for name in missing if not name.startswith(TORCH)]
        if len(others) < len(tuple(missing)):
            self.install_torch(TORCH_MINIMUM)
            importlib.invalidate_caches()
        if others:
            with tempfile.TemporaryDirectory() as folder:
                constraints = Path(folder) / "constraints.txt"
                constraints.write_text("\n".join(installed_pins(others)) + "\n", encoding="utf-8")
                self.pip([*WHEELS_ONLY, "--constraint", str(constraints), *others])


def ask_slicer(question: str) -> bool:
    """Ask in a dialog; never agrees in Slicer's testing mode, where nothing may be installed."""
    import slicer

    if slicer.app.testingEnabled():
        return False
    return bool(slicer.util.confirmOkCancelDisplay(question, _("OneShotSeg")))
