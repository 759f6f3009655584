"""Without the JIT the same functions give the same numbers, and raise nothing at the edges."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from simulator.options.pricing import greeks, solve_volatility
from tests.simulator.options.pricing_contracts import Array, random_contracts

ROOT = Path(__file__).parents[3]


def answers() -> Array:
    """Return price, Greeks, volatility and status of contracts, extreme ones among them."""
    columns = [np.array(column) for column in random_contracts(150, seed=11)]
    edges = np.array(
        [
            # sign, spot, strike, years, rate, volatility, yield
            (1.0, 1e-300, 1e300, 1.0, 0.03, 0.2, 0.01),
            (-1.0, 1e300, 1e-300, 1.0, 0.03, 0.2, 0.01),
            (1.0, 100.0, 100.0, 1e4, 0.5, 0.2, -0.5),
            (-1.0, 100.0, 100.0, 1e-12, 0.0, 1e-12, 0.0),
            (-1.0, 100.0, 120.0, 0.5, 0.05, 1e3, 0.02),
            (1.0, 100.0, 90.0, 0.5, -0.02, 0.3, -0.01),
            (1.0, 100.0, 90.0, 0.5, -0.02, 0.0, -0.05),
            (-1.0, 100.0, 130.0, 2.0, 0.02, 0.0, 0.06),
        ]
    )
    sign, spot, strike, years, rate, volatility, dividend_yield = (
        np.concatenate([column, edge]) for column, edge in zip(columns, edges.T, strict=True)
    )
    rows: list[Array] = []
    for style in ("european", "american"):
        all_greeks = greeks(sign, spot, strike, years, rate, volatility, dividend_yield, style)
        value = all_greeks.price
        found, status = solve_volatility(sign, value, spot, strike, years, rate, dividend_yield, style)
        rows += [*all_greeks, found, status == "ok"]
    return np.array(rows, np.float64)


def test_plain_python_gives_the_same_numbers(tmp_path: Path) -> None:
    target = tmp_path / "plain.npy"
    code = (
        "import numpy as np; from simulator.kernel._jit import jit_disabled; assert jit_disabled();"
        "from tests.simulator.options.test_pricing_plain_python import answers;"
        f"np.save({str(target)!r}, answers())"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=300)
    np.testing.assert_allclose(np.load(target), answers(), rtol=1e-9, atol=1e-9)
