"""The comparisons (a) to (d): agreement first, then time and memory.

Sizes shrink under `quick`, which keeps every step and every agreement; its ratios are not the published ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks import backtrader_side, twinstep_side, vectorbt_side
from benchmarks.agreement import Agreement, compare, from_result
from benchmarks.measure import MEGABYTE, alternating, in_own_process, median
from benchmarks.report import Check, Section
from benchmarks.workloads import Market, long_work, portfolio_market, portfolio_plan, sweep_work

DENSITIES = (0.02, 0.20)
REPEATS = 5
BAR_BYTES = 5 * 8
"""Open, high, low, close and volume of one bar."""
VECTORBT = "vectorbt"


def sweep_section(*, quick: bool) -> Section:
    """Compare (a): many lanes over one symbol, stop, target, trailing and six metrics, with vectorbt."""
    lanes, bars = (200, 1000) if quick else (1000, 2500)
    section = Section(
        "sweep", f"(a) sweep of {lanes:,} lanes x {bars:,} bars: stop, target, trailing, six metrics"
    )
    for density in DENSITIES:
        _sweep_at(section, lanes, bars, density, quick=quick)
        if not section.agrees:
            break
    section.notes.append(
        "timed: from prepared bars and signals to the table of metrics; memory: growth of the resident peak "
        "in a process of its own, after a small warm-up run"
    )
    return section


def _sweep_at(section: Section, lanes: int, bars: int, density: float, *, quick: bool) -> None:
    work = sweep_work(lanes, bars, density)
    cash = twinstep_side.CASH_SWEEP
    portfolios = {
        engine: vectorbt_side.sweep_portfolio(work, engine, cash) for engine in vectorbt_side.ENGINES
    }
    ours = twinstep_side.sweep_trades(work)
    label = f"{density:.0%} signals"
    for engine, make in portfolios.items():
        portfolio = make()
        found = compare(ours, vectorbt_side.trades_of(portfolio), ("Twinstep", f"vectorbt {engine}"))
        section.agreements[f"vectorbt {engine}, {label}"] = found
    run = twinstep_side.sweep_run(work)
    metrics = _compare_metrics(run(), vectorbt_side.metrics_of(portfolios["numba"]()), len(ours))
    section.agreements[f"vectorbt's six metrics per lane, {label}"] = metrics
    if not section.agrees:
        return
    held = float((ours["exit_bar"] - ours["entry_bar"]).sum()) / (lanes * bars)
    section.notes.append(f"{label}: {len(ours):,} trades, in a position on {held:.0%} of bars and lanes")
    seconds = alternating(
        {
            "Twinstep": run,
            **{
                f"{VECTORBT} {engine}": vectorbt_side.with_metrics(make)
                for engine, make in portfolios.items()
            },
        },
        3 if quick else REPEATS,
    )
    memory = {
        name: in_own_process("sweep", engine=name, lanes=lanes, bars=bars, density=density)["peak_growth"]
        for name in seconds
    }
    mine = median(seconds["Twinstep"])
    for name, values in seconds.items():
        section.rows.append(
            {
                "signals": f"{density:.0%}",
                "engine": name,
                "median ms": 1e3 * median(values),
                "ns per bar and lane": 1e9 * median(values) / (lanes * bars),
                "times slower": median(values) / mine,
                "peak memory growth MB": memory[name] / MEGABYTE,
            }
        )
    if density == DENSITIES[0]:
        faster = min(median(values) for name, values in seconds.items() if name.startswith(VECTORBT))
        least = min(size for name, size in memory.items() if name.startswith(VECTORBT))
        section.checks += [
            Check("times vectorbt's faster engine, 2 % signals", faster / mine, 60.0),
            Check(
                "peak memory growth, share of vectorbt's",
                memory["Twinstep"] / max(1, least),
                0.1,
                at_least=False,
            ),
        ]


def _compare_metrics(table: pd.DataFrame, peer: dict[str, Any], trades: int) -> Agreement:
    # the same definitions on both sides: a drawdown is negative, a profit factor without a loss infinite
    for name, values in peer.items():
        mine = table[name].to_numpy(np.float64)
        theirs = np.asarray(values, np.float64)
        close = np.isclose(mine, theirs, rtol=1e-7, atol=1e-12, equal_nan=True)
        if not close.all():
            lane = int(np.argmin(close))
            return Agreement(
                trades, f"{name} of lane {lane}: Twinstep {mine[lane]!r}, vectorbt {theirs[lane]!r}"
            )
    return Agreement(trades)


def portfolio_section(*, quick: bool) -> Section:
    """Compare (b): 500 symbols under the risk manager, with backtrader and with vectorbt's shared cash."""
    market = portfolio_market()
    if quick:
        market = _part(market, 60, 400)
    plan = portfolio_plan(market)
    bars, symbols = market.shape
    section = Section(
        "portfolio",
        f"(b) portfolio of {symbols} symbols x {bars:,} bars, {len(plan.row):,} brackets: {market.origin}",
    )
    seconds_bt, theirs = backtrader_side.plan_run(market, plan)
    everything = twinstep_side.plan_run(market, plan, conventions="backtrader", relative=False)
    section.agreements["backtrader, every signal taken"] = compare(
        _table(everything(), market), theirs, ("Twinstep", "backtrader")
    )
    relative = twinstep_side.plan_run(market, plan, conventions="vectorbt", relative=True)
    portfolios = {
        engine: vectorbt_side.plan_portfolio(market, plan, engine, shared=True, freq="1D")
        for engine in vectorbt_side.ENGINES
    }
    mine = _table(relative(), market)
    for engine, make in portfolios.items():
        found = compare(mine, vectorbt_side.trades_of(make()), ("Twinstep", f"vectorbt {engine}"))
        section.agreements[f"vectorbt {engine} with shared cash, every signal taken"] = found
    if not section.agrees:
        return section
    repeats = 3 if quick else REPEATS
    ours = twinstep_side.risk_run(market, plan)
    runs = {
        "Twinstep, all risk rules": ours,
        "Twinstep, no risk rules, every signal": everything,
        **{f"{VECTORBT} {engine}": vectorbt_side.with_metrics(make) for engine, make in portfolios.items()},
    }
    seconds = alternating(runs, repeats)
    slow = [
        seconds_bt,
        *(backtrader_side.plan_run(market, plan)[0] for _ in range(0 if quick else REPEATS - 1)),
    ]
    seconds["backtrader"] = slow
    base = median(seconds["Twinstep, all risk rules"])
    for name, values in seconds.items():
        section.rows.append(
            {
                "engine": name,
                "median ms": 1e3 * median(values),
                "times slower": median(values) / base,
                "runs": len(values),
            }
        )
    faster = min(median(values) for name, values in seconds.items() if name.startswith(VECTORBT))
    if not quick:
        section.checks += [
            Check("times backtrader", median(slow) / base, 20_000.0),
            Check("times vectorbt with cash sharing", faster / base, 50.0),
        ]
    section.notes += _risk_notes(ours(), len(plan.row))
    return section


def _risk_notes(result: Any, signals: int) -> list[str]:
    verdicts = result.verdicts
    admitted = int((verdicts["outcome"] != "rejected").sum())
    return [
        f"under the risk manager: {signals:,} signals, {admitted:,} admitted, {len(result.trades):,} trades; "
        "the peers have no such rules and take every signal that finds its symbol flat",
        "backtrader: cerebro.run() alone, feeds made before; vectorbt: simulation and six metrics; Twinstep: "
        "backtest() with all logs, and its metrics",
    ]


def _table(result: Any, market: Market) -> pd.DataFrame:
    return from_result(result, market.ts, market.symbols)


def _part(market: Market, symbols: int, bars: int) -> Market:
    keep = market.symbols[:symbols]

    def cut(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.ascontiguousarray(values[:bars, :symbols])

    return Market(
        open=cut(market.open),
        high=cut(market.high),
        low=cut(market.low),
        close=cut(market.close),
        ts=market.ts[:bars],
        symbols=keep,
        sectors={name: sector for name, sector in market.sectors.items() if name in keep},
        origin=market.origin,
    )


def long_section(*, quick: bool) -> Section:
    """Compare (c): one symbol, a million bars, brackets, with vectorbt."""
    bars = 200_000 if quick else 1_000_000
    market, plan = long_work(bars)
    section = Section("long", f"(c) one run of {bars:,} bars, {len(plan.row):,} brackets: {market.origin}")
    ours = twinstep_side.plan_run(market, plan, conventions="vectorbt", relative=True)
    portfolios = {
        engine: vectorbt_side.plan_portfolio(market, plan, engine, shared=False, freq="1min")
        for engine in vectorbt_side.ENGINES
    }
    result = ours()
    mine = _table(result, market)
    for engine, make in portfolios.items():
        found = compare(mine, vectorbt_side.trades_of(make()), ("Twinstep", f"vectorbt {engine}"))
        section.agreements[f"vectorbt {engine}"] = found
    section.agreements["solvency: equity stays above 0"] = _solvent(result, len(mine))
    if not section.agrees:
        return section
    del result, mine
    seconds = alternating(
        {
            "Twinstep": ours,
            "Twinstep, logs off": twinstep_side.plan_run(
                market, plan, conventions="vectorbt", relative=True, log=False
            ),
            **{
                f"{VECTORBT} {engine}": vectorbt_side.with_metrics(make)
                for engine, make in portfolios.items()
            },
        },
        3 if quick else REPEATS,
    )
    base = median(seconds["Twinstep"])
    for name, values in seconds.items():
        section.rows.append(
            {
                "engine": name,
                "median ms": 1e3 * median(values),
                "ns per bar": 1e9 * median(values) / bars,
                "times slower": median(values) / base,
            }
        )
    faster = min(median(values) for name, values in seconds.items() if name.startswith(VECTORBT))
    section.checks.append(Check("times vectorbt's faster engine", faster / base, 5.0))
    section.notes.append("timed: simulation, all logs (fills, trades, verdicts, equity) and metrics")
    return section


def _solvent(result: Any, trades: int) -> Agreement:
    lowest = float(result.equity.min())
    return Agreement(trades, "" if lowest > 0.0 else f"equity falls to {lowest:g}")


def chunked_section(*, quick: bool) -> Section:
    """Measure (d): a history ten times as long, in chunks; the peak of memory stays where it was."""
    chunk, chunks = (20_000, 10) if quick else (50_000, 10)
    section = Section("chunked", f"(d) chunked run, {chunk:,} bars a chunk: memory as history grows tenfold")
    in_own_process("chunked", chunk=100, chunks=2)  # compiles, where nothing is cached yet
    peaks = []
    for count in (chunks, 10 * chunks):
        found = in_own_process("chunked", chunk=chunk, chunks=count)
        peaks.append(found["peak_growth"])
        section.rows.append(
            {
                "bars": count * chunk,
                "prices MB": count * chunk * BAR_BYTES / MEGABYTE,
                "trades": found["trades"],
                "seconds": found["seconds"],
                "peak memory growth MB": found["peak_growth"] / MEGABYTE,
                "peak resident MB": found["peak"] / MEGABYTE,
            }
        )
    added = 9 * chunks * chunk * BAR_BYTES
    share = max(0, peaks[1] - peaks[0]) / added
    section.checks.append(Check("added peak memory, share of the added prices", share, 0.02, at_least=False))
    section.notes.append(
        "prices are made chunk by chunk and forgotten; nothing is logged, metrics are complete"
    )
    return section
