"""The learning rate: up during the warm-up, then down to zero."""

from __future__ import annotations

import pytest

from OneShotSegLib.training.schedule import learning_rate


def test_the_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    rates = [learning_rate(2e-3, step, 1000, 100) for step in range(1001)]
    assert rates[0] == pytest.approx(2e-5)
    assert rates[:99] == sorted(rates[:99])
    assert max(rates) == pytest.approx(2e-3, rel=0.03)
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[-1] == 0
