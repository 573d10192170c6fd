"""Training in several processes: each learns from its own patches, all end with the same weights."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import torch

from OneShotSegLib.networks.checkpoint import load_prnet
from OneShotSegLib.training.parallel import Ranks, join_ranks
from Testing.helpers.training_volumes import make_trainer, make_training_volumes

PROGRAM = """
import sys
from pathlib import Path
from safetensors.torch import save_file
from Testing.helpers.training_volumes import make_trainer, make_training_volumes
from OneShotSegLib.training.parallel import join_ranks
folder = Path(sys.argv[1])
with join_ranks("cpu") as (ranks, device):
    trainer = make_trainer(make_training_volumes(3), folder / "coarse.safetensors", ranks)
    trainer._backward()
    gradients = {name: value.grad.clone() for name, value in trainer.network.named_parameters()}
    trainer.run()
    weights = {"weight." + name: value.detach() for name, value in trainer.network.named_parameters()}
    tensors = {k: v.contiguous().clone() for k, v in (gradients | weights).items()}
    save_file(tensors, folder / f"rank{ranks.rank}.safetensors")
"""


def test_two_processes_share_their_gradients_and_keep_the_same_weights(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    paths = os.pathsep.join(
        [str(Path(__file__).parent), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    )
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    subprocess.run([*command, str(program), str(tmp_path)], env=environment, check=True, timeout=300)
    one, other = (_read(tmp_path / f"rank{rank}.safetensors") for rank in (0, 1))
    volumes = make_training_volumes(3)
    alone = [make_trainer(volumes, tmp_path / f"alone{rank}.safetensors", Ranks(rank)) for rank in (0, 1)]
    for trainer in alone:
        trainer._backward()
    names = [name for name, _ in alone[0].network.named_parameters()]
    first, second = (_flat(value.grad for value in trainer.network.parameters()) for trainer in alone)
    shared, wanted = _flat(one[name] for name in names), (first + second) / 2
    assert (first - second).norm() > 0.1 * wanted.norm(), "both processes saw the same patches"
    # As a whole: a bias before a normalisation has a gradient of zero, and what is computed is rounding.
    assert (shared - wanted).norm() < 1e-3 * wanted.norm()
    for name in names:
        assert torch.equal(one["weight." + name], other["weight." + name])
    _, info = load_prnet(tmp_path / "coarse.safetensors")
    assert info.training["processes"] == 2
    assert not (tmp_path / "coarse.state").exists()


def test_without_torchrun_there_is_one_process() -> None:
    with join_ranks("cpu") as (ranks, device):
        assert ranks == Ranks(0, 1)
        assert ranks.leads
        assert device.type == "cpu"


def _flat(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _read(path: Path) -> dict[str, torch.Tensor]:
    import safetensors.torch

    return safetensors.torch.load_file(path)
