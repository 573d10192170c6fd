"""Hundreds of cases in one process: memory stays flat, and no case takes longer than the first ones."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
from common import Tally, batch, masks, run_forked

PLOT = Path(__file__).resolve().parents[2] / "docs" / "images" / "soak.png"
PAGE = os.sysconf("SC_PAGE_SIZE")


def soak(folder: Path, times: int, seed: int) -> Tally:
    """One run over so many cases; docs/images/soak.png shows its memory and its time per case."""
    tiny = batch(folder, times)
    figures_file = folder / "soak.jsonl"
    with figures_file.open("w") as file:

        def emit(event: str, **fields: object) -> None:
            if event == "case_done":
                resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
                # Processor time since the start: how long a case takes by the clock depends on what else is going on.
                print(json.dumps([resident, time.process_time()]), file=file, flush=True)

        tally = Tally(fault=f"soak of {times} cases in one process")
        os.waitpid(run_forked(tiny.request(folder / "soak"), emit), 0)
    figures = np.array([json.loads(line) for line in figures_file.read_text().splitlines()])
    tally.injected = len(figures)
    if len(masks(folder / "soak")) != times:
        tally.lost.append(f"{times - len(masks(folder / 'soak'))} cases")
    memory, seconds = figures[1:, 0] / 2**20, np.diff(figures[:, 1])
    warm = len(figures) // 10
    slope = np.polyfit(np.arange(len(memory) - warm), memory[warm:], 1)[0] * 100
    tally.note(f"MB in the end ({memory[warm]:.0f} after a tenth of them, {slope:+.1f} per 100 cases)", int(memory[-1]))
    tenths = [float(np.median(part)) for part in np.array_split(seconds, 10)]
    tally.note(f"ms per case in the last tenth (median; {tenths[0] * 1000:.0f} in the first)", int(tenths[-1] * 1000))
    _plot(memory, seconds)
    return tally


def _plot(memory: np.ndarray, seconds: np.ndarray) -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 4.2), sharex=True, layout="constrained")
    above.plot(np.arange(1, len(memory) + 1), memory, lw=1.2)
    above.set(ylabel="resident memory, MB", ylim=(0, None))
    below.plot(np.arange(1, len(seconds) + 1), seconds, ".", ms=3)
    below.set(ylabel="processor seconds per case", xlabel="case", ylim=(0, None))
    for axis in (above, below):
        axis.grid(alpha=0.3)
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=120)
