"""Simulated runs in the journal agree with their results to the cent, and are stored once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import func, select

from journal import TradeJournal, schema
from journal.from_result import StoredRun
from journal.performance import insights, mistakes, running
from journal.performance.recent import recent
from simulator import Bars, Result, RiskLimits, Signals, backtest, load_bars
from simulator.options import OptionMarket
from simulator.types import ResultSink
from strategies import strategy_class

ROOMY = RiskLimits(
    risk_per_trade_pct=30, max_portfolio_heat_pct=90, max_sector_exposure_pct=100, max_days_in_trade=None
)


def market(sessions: int) -> Bars:
    """One synthetic underlying with modelled options."""
    bars = load_bars(f"synthetic:1x{sessions}?seed=1")
    shocks = np.random.default_rng(2).normal(0.0, 0.06, sessions)
    level = np.zeros(sessions)
    for t in range(1, sessions):
        level[t] = 0.97 * level[t - 1] + shocks[t]
    return bars.with_options(OptionMarket.modelled(bars, {bars.symbols[0]: 0.2 * np.exp(level)}, rate=0.02))


@pytest.fixture(scope="module")
def premium() -> dict[str, Result]:
    bars = market(700)
    names = ("short-put-spread", "covered-call", "wheel", "calendar", "iron-condor")
    return {
        name: backtest(bars, strategy_class(name)(), cash=300_000, risk=ROOMY, costs="tastytrade")
        for name in names
    }


@pytest.fixture(scope="module")
def stocks() -> Result:
    bars = load_bars("synthetic:3x400?seed=5")
    rng = np.random.default_rng(3)
    rows = np.sort(rng.choice(np.arange(5, 395), 300, replace=False))
    signals = Signals.from_arrays(
        bars, rows, rng.integers(0, 3, 300), rng.choice([-1, 1], 300), stop_percent=4.0, target_r=2.0,
        scale_out_r=1.0, scale_out_fraction=0.5, score=70.0, tag="random",
    )  # fmt: skip
    return backtest(bars, signals, costs="alpaca")


@pytest.fixture
def journal(journal_path: Path) -> Iterator[TradeJournal]:
    with TradeJournal(journal_path) as opened:
        yield opened


def stored(journal: TradeJournal, table: str) -> int:
    with journal.database.read() as connection:
        counted = select(func.count()).select_from(schema.metadata.tables[table])
        return int(connection.execute(counted).scalar_one())


def agrees(journal: TradeJournal, result: Result) -> None:
    """Compare every trade of the result with its row and its fills."""
    trades = journal.trades(source="backtest")
    frame = result.trades.sort_values(["entry_time", "id"], kind="stable")
    assert len(trades) == len(frame)
    assert sum(trade.pnl for trade in trades) == pytest.approx(frame["pnl"].sum(), abs=0.005)
    by_entry = sorted(trades, key=lambda trade: (trade.entry_ts, trade.id))
    expected = sorted(
        zip(
            frame["entry_time"],
            frame["symbol"],
            frame["pnl"],
            frame["fees"],
            frame["exit_reason"],
            strict=True,
        )
    )
    found = sorted((t.entry_time, t.symbol, t.pnl, t.fees, t.close_code) for t in by_entry)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine[1] == theirs[1]
        assert mine[2] == pytest.approx(theirs[2])
        assert mine[3] == pytest.approx(theirs[3])
        assert mine[4] == theirs[4]
    for trade in trades:
        cash = sum(fill.cash for fill in journal.fills(trade.id))
        assert trade.pnl == pytest.approx(cash, abs=1e-6)
        assert trade.pnl == pytest.approx(trade.gross_pnl - trade.fees)


@pytest.mark.parametrize("name", ["short-put-spread", "covered-call", "wheel", "calendar", "iron-condor"])
def test_option_packages_come_back_to_the_cent(
    name: str, premium: dict[str, Result], journal: TradeJournal
) -> None:
    result = premium[name]
    assert len(result.packages) >= 1
    kept = result.to_journal(journal)
    assert kept == StoredRun(1, len(result.trades), len(result.verdicts), new=True)
    agrees(journal, result)
    options = [trade for trade in journal.trades(source="backtest") if trade.kind == "option"]
    assert len(options) == len(result.packages)
    for trade, (_, row) in zip(
        options, result.packages.sort_values(["entry_time", "id"]).iterrows(), strict=True
    ):
        assert (trade.dte, trade.grade) == (row["dte"], row["grade"])
        assert trade.iv_rank == (pytest.approx(row["iv_rank"]) if pd.notna(row["iv_rank"]) else None)
        text = " ".join(
            f"{int(leg.side * leg.ratio):+d} "
            + (f"{leg.strike:g}{leg.kind[0].upper()}" if leg.strike else "shares")
            for leg in trade.legs
        )
        assert text == row["legs"]
        if trade.side < 0:
            assert trade.capture_percent == pytest.approx(100.0 * row["captured"])
        size = trade.entry_price * trade.quantity * 100.0
        assert trade.mae == pytest.approx(row["mae"] * size)


def test_stock_trades_come_back_to_the_cent(stocks: Result, journal: TradeJournal) -> None:
    assert len(stocks.trades) > 50
    stocks.to_journal(journal, label="random entries")
    agrees(journal, stocks)
    first = journal.trades(source="backtest")[0]
    assert (first.kind, first.signal_type, first.score) == ("stock", "random", 70.0)
    assert first.initial_risk is not None
    assert first.r_multiple == pytest.approx(first.pnl / first.initial_risk)
    assert journal.tags() == ["random"]
    with journal.database.read() as connection:
        run = connection.execute(select(schema.runs)).one()
        granted = connection.execute(select(schema.verdicts.c.granted, schema.verdicts.c.rule)).all()
    assert (run.label, run.fingerprint) == ("random entries", stocks.fingerprint)
    assert json.loads(run.config)["metrics"]["trades"] == len(stocks.trades)
    assert sum(row.granted > 0 for row in granted) >= len(stocks.trades)
    assert {row.rule for row in granted} == set(stocks.verdicts["reason"])


def test_the_equity_at_the_end_of_each_session_is_stored(stocks: Result, journal: TradeJournal) -> None:
    hourly = load_bars("synthetic:1x40?seed=5&interval=1h")
    for result in (stocks, backtest(hourly, Signals.empty(hourly))):
        run = result.to_journal(journal).run_id
        table = schema.equity.c
        with journal.database.read() as connection:
            query = select(table.ts, table.equity, table.heat).where(table.run_id == run).order_by(table.ts)
            found = connection.execute(query).all()
        bars = result.raw.bars
        last = np.append(bars.session[1:] != bars.session[:-1], True)
        assert [row.ts for row in found] == bars.ts[last].tolist()
        assert [row.equity for row in found] == result.equity[last].tolist()
        assert [row.heat for row in found] == result.exposure["heat"][last].tolist()


def test_the_same_result_is_stored_once(stocks: Result, journal: TradeJournal) -> None:
    tables = ("runs", "trades", "fills", "verdicts", "insights", "performance_metrics")
    first = stocks.to_journal(journal)
    before = [stored(journal, table) for table in tables]
    again = stocks.to_journal(journal)
    assert (again.run_id, again.new, again.trades) == (first.run_id, False, 0)
    assert [stored(journal, table) for table in tables] == before
    other = stocks.to_journal(journal, "paper")
    assert other.new
    assert journal.trades() == []  # live has none of it
    assert len(journal.trades(source="all")) == 2 * len(stocks.trades)


def test_what_is_learned_in_bulk_is_what_is_learned_one_by_one(stocks: Result, journal: TradeJournal) -> None:
    stocks.to_journal(journal)
    tables = (schema.insights, schema.mistakes, schema.performance_metrics)

    def learned() -> list[list[tuple[object, ...]]]:
        with journal.database.read() as connection:
            return [
                sorted(tuple(str(v) for v in row[1:]) for row in connection.execute(select(table)))
                for table in tables
            ]

    bulk = learned()
    trades = sorted(journal.trades(source="backtest"), key=lambda trade: (trade.exit_ts or 0, trade.id))
    with journal.database.write() as connection:
        for table in tables:
            connection.execute(table.delete())
        for trade in trades:
            insights.analyse(connection, trade)
            mistakes.detect(connection, trade)
            running.update(connection, trade)
            assert all(one.exit_ts <= trade.entry_ts for one in recent(connection, trade))
    assert all(bulk[:1])
    assert learned() == bulk


def test_a_thousand_trades_are_stored_in_time(journal: TradeJournal) -> None:
    bars = load_bars("synthetic:10x3000?seed=9")
    rng = np.random.default_rng(4)
    rows = np.sort(rng.integers(5, 2990, 6000))
    signals = Signals.from_arrays(
        bars, rows, rng.integers(0, 10, 6000), rng.choice([-1, 1], 6000), stop_percent=3.0, target_r=2.0
    )
    result = backtest(bars, signals, risk=ROOMY)
    assert len(result.trades) >= 1000
    _ = result.fingerprint, result.fills, result.verdicts, result.packages
    began = time.perf_counter()
    result.to_journal(journal)
    per_thousand = (time.perf_counter() - began) * 1000 / len(result.trades)
    assert per_thousand < 2.0
    agrees(journal, result)


def test_a_run_without_trades_is_a_run(journal: TradeJournal) -> None:
    bars = load_bars("synthetic:2x60?seed=1")
    result = backtest(bars, Signals.empty(bars))
    assert result.to_journal(journal) == StoredRun(1, 0, 0, new=True)


def test_nothing_is_stored_of_a_run_that_fails_half_way(
    stocks: Result, journal: TradeJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise RuntimeError("power cut")

    monkeypatch.setattr(running, "extend", fail)
    with pytest.raises(RuntimeError):
        stocks.to_journal(journal)
    assert [stored(journal, table) for table in ("runs", "trades", "fills", "verdicts")] == [0, 0, 0, 0]


def test_the_journal_is_a_sink(journal: TradeJournal) -> None:
    assert isinstance(journal, ResultSink)
