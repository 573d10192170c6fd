"""OneShotSeg: scribble one CT, get the same structures segmented in a whole batch of CTs.

The method is Lei et al., "One-shot Weakly-Supervised Segmentation in 3D Medical Images" (arXiv 2111.10773). What is
named here is the public interface (`OneShotSegLib.api`); everything else may change without notice. Nothing is
imported before it is used: PyTorch takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from OneShotSegLib.surroundings import prepare_process as _prepare_process

__version__ = "0.2.0.dev0"

_prepare_process()

if TYPE_CHECKING:
    from OneShotSegLib.api import (
        CaseOfBatch,
        OneShotSegmenter,
        Study,
        evaluate,
        propagate,
        propagate_batch,
        regrow,
        suggest_support,
    )
    from OneShotSegLib.errors import InputError
    from OneShotSegLib.evaluation.result import Evaluation
    from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
    from OneShotSegLib.imaging.volume import Volume
    from OneShotSegLib.runner.support_advice import SuggestedSupport
    from OneShotSegLib.study.segmentation import Segmentation

PUBLIC = {
    "CaseOfBatch": "api",
    "OneShotSegmenter": "api",
    "Study": "api",
    "evaluate": "api",
    "propagate": "api",
    "propagate_batch": "api",
    "regrow": "api",
    "suggest_support": "api",
    "InputError": "errors",
    "Evaluation": "evaluation.result",
    "LabelMap": "imaging.labelmaps",
    "Segment": "imaging.labelmaps",
    "Volume": "imaging.volume",
    "SuggestedSupport": "runner.support_advice",
    "Segmentation": "study.segmentation",
}
"""Where each public name is defined."""

__all__ = [
    "CaseOfBatch",
    "Evaluation",
    "InputError",
    "LabelMap",
    "OneShotSegmenter",
    "Segment",
    "Segmentation",
    "Study",
    "SuggestedSupport",
    "Volume",
    "__version__",
    "evaluate",
    "propagate",
    "propagate_batch",
    "regrow",
    "suggest_support",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
