"""Without the extra "train" everything but other networks and pictures of curves works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation.metrics import surface_distances
from OneShotSegLib.evaluation.plot import draw_box_plot
from OneShotSegLib.networks.segmentation_checkpoint import NETWORKS
from OneShotSegLib.training import drawing
from OneShotSegLib.training.prnet.curves import Check, Curves

ROOT = Path(__file__).parents[2]
MODULES = (
    *("api", "cli.app", "runner.propagation", "runner.segmentation", "evaluation", "report.html", "worker.server"),
    *("training.prnet.command", "training.segmentation.command", "export.nnunet", "export.rtstruct"),
)


def test_no_room_imports_them_as_it_is_loaded() -> None:
    code = "import sys\nfor name in ('monai', 'matplotlib', 'tensorboard'): sys.modules[name] = None\n" + "".join(
        f"import OneShotSegLib.{module}\n" for module in MODULES
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["monai-unet", "segresnet", "dynunet"])
def test_a_network_of_monai_asks_for_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(InputError, match=rf"The network {name}: expected MONAI .*\[train\]"):
        NETWORKS[name](4, 2)


def test_the_paper_s_network_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai", None)
    assert list(NETWORKS["unet"](4, 2).parameters())


def test_an_evaluation_does_without_and_a_box_plot_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("monai", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)
    mask = np.zeros((8, 8, 8), dtype=bool)
    mask[2:5, 2:5, 2:5] = True
    assert surface_distances(mask, mask, np.ones(3)) == (0.0, 0.0)
    with pytest.raises(InputError, match="Box plots: expected matplotlib"):
        draw_box_plot([], {}, tmp_path / "plot.png")


def test_the_curves_of_a_training_are_a_table_without_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    curves = Curves(tmp_path / "coarse.safetensors")
    numbers = {name: 1.0 for name in Check.__dataclass_fields__ if name != "step"}
    curves.add(Check(step=1, **numbers))
    curves.close()
    assert curves.table.is_file()
    assert not curves.picture.exists()
