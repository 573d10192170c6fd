"""Trained weights made small enough to ship."""

from __future__ import annotations

from pathlib import Path

from OneShotSegLib.networks.checkpoint import load_prnet, save_prnet


def ship(trained: Path, destination: Path) -> str:
    """Store a trained stage in half precision; returns its description."""
    network, info = load_prnet(trained)
    save_prnet(destination, network, info, half=True)
    size = destination.stat().st_size / 2**20
    error = info.metrics.get("held_out_error_mm", float("nan"))
    return f"{destination.name}: {info.step} steps, error {error:.1f} mm per axis on held-out volumes, {size:.1f} MiB"
