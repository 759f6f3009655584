"""What runs in a process of its own: `python -m benchmarks.worker TASK JSON` prints one line of JSON.

Peak memory needs it, since a process never forgets its highest mark, and so does start-up time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import measure
from benchmarks.workloads import DAY_NS, FIRST_DAY, MINUTE_NS, sweep_work

if TYPE_CHECKING:
    from simulator import Bars, Signals


def main(arguments: list[str]) -> int:
    """Run the named task."""
    task, options = arguments[0], json.loads(arguments[1]) if len(arguments) > 1 else {}
    print(json.dumps(TASKS[task](**options)))
    return 0


def sweep_memory(*, engine: str, lanes: int, bars: int, density: float) -> dict[str, Any]:
    """Peak memory growth of one engine's sweep, everything prepared and warmed before."""

    def run_of(lanes: int, bars: int) -> Any:
        work = sweep_work(lanes, bars, density)
        if engine == "Twinstep":
            from benchmarks.twinstep_side import sweep_run

            return sweep_run(work)
        from benchmarks.vectorbt_side import sweep_portfolio, with_metrics

        return with_metrics(sweep_portfolio(work, engine.split()[-1], 1e6))

    run_of(4, 60)()
    return {"peak_growth": measure.peak_growth(run_of(lanes, bars))}


def chunked(*, chunk: int, chunks: int) -> dict[str, Any]:
    """Peak memory of a history that is made and forgotten chunk by chunk."""
    from simulator import backtest_stream

    backtest_stream(_chunks(200, 2), risk=None, cash=1e9)
    found: dict[str, Any] = {}

    def run() -> None:
        begin = time.perf_counter()
        stream = backtest_stream(_chunks(chunk, chunks), risk=None, cash=1e9)
        found["seconds"] = time.perf_counter() - begin
        found["trades"] = int(stream.metrics["trades"])

    found["peak_growth"] = measure.peak_growth(run)
    found["peak"] = measure.resident_peak()
    return found


def _chunks(length: int, count: int) -> Iterator[tuple[Bars, Signals]]:
    # one symbol, minute bars; prices go on where the chunk before ended
    from simulator import Bars, Signals

    price = 100.0
    for index in range(count):
        rng = np.random.default_rng([31, index])
        body = rng.normal(0.0, 0.001, length)
        log_close = np.log(price) + np.cumsum(body - 2e-5 * np.log(price / 100.0))
        close = np.exp(log_close)
        open_ = np.concatenate([[price], close[:-1]])
        high = np.maximum(open_, close) * 1.0005
        low = np.minimum(open_, close) * 0.9995
        price = float(close[-1])
        ts = FIRST_DAY + (index * length + np.arange(length, dtype=np.int64)) * MINUTE_NS
        panel = np.stack([open_, high, low, close, np.full(length, 1e6)], axis=-1)[:, None, :]
        bars = Bars.from_arrays(["MIN"], ts, panel, calendar="24/7", guard="note")
        # a chunk may begin inside a session: numbers count from the first chunk's first session on
        bars = bars.replaced(session_no=bars.session - FIRST_DAY // DAY_NS)
        row = np.flatnonzero(rng.random(length) < 0.02)
        side = np.where(rng.random(len(row)) < 0.5, 1, -1)
        signals = Signals.from_arrays(
            bars, row, np.zeros(len(row), np.int64), side, qty=10.0, stop_percent=0.3, target_percent=0.6
        )
        yield bars, signals


def first_backtest() -> dict[str, Any]:
    """Run a strategy over the bundled stocks, as a first backtest in a fresh process does."""
    from simulator import backtest, load_bars
    from strategies import load_strategy

    result = backtest(load_bars("sample:stocks"), load_strategy("sma-cross"))
    return {"trades": len(result.trades), "total_return": result.metrics["total_return"]}


TASKS: dict[str, Any] = {"sweep": sweep_memory, "chunked": chunked, "first_backtest": first_backtest}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
