"""What is to be said of what strokes grew into."""

from __future__ import annotations

from collections.abc import Mapping

from OneShotSegLib.interface.i18n import tr as _


def growth_sentence(volumes_ml: Mapping[str, float]) -> str:
    """A sentence for the user; empty if there is nothing to say.

    Args:
        volumes_ml: Of each structure with strokes, by name.
    """
    thin = ", ".join(name for name, ml in volumes_ml.items() if not ml)
    return _("Too thin to grow: {names}. Paint more, or with a wider brush.").format(names=thin) if thin else ""
