from __future__ import annotations

import dataclasses
import math
import timeit
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator import Bars, Signals, backtest
from simulator.errors import DataError, EngineError, UnknownNameError
from simulator.kernel import codes
from simulator.kernel.dtypes import EQUITY, EVENT, FILL, TRADE, VERDICT
from simulator.results import Result, compare
from simulator.results.tables import GROUPS

TRADE_COLUMNS = [
    "symbol", "side", "qty", "entry_time", "entry_price", "exit_time", "exit_price", "exit_reason", "fees",
    "pnl", "r_multiple", "mae", "mfe", "bars_held", "tag",
]  # fmt: skip


def without_log(result: Result) -> Result:
    empty: dict[str, Any] = {
        "fills": np.zeros(0, FILL),
        "closed_trades": np.zeros(0, TRADE),
        "open_trades": np.zeros(0, TRADE),
        "verdicts": np.zeros(0, VERDICT),
        "events": np.zeros(0, EVENT),
        "equity_runs": np.zeros(0, EQUITY),
    }
    return Result(dataclasses.replace(result.raw, **empty))


def two_days(values: list[float], cash: float, deposit: float = 0.0) -> Result:
    """A run whose equity is given, one bar a day, with a deposit before the last bar."""
    panel = np.full((len(values), 1, 5), 10.0)
    days = np.arange(len(values)) * 86_400_000_000_000 + np.datetime64("2021-01-04", "ns").astype(np.int64)
    bars = Bars.from_arrays(["A"], days, panel)
    result = backtest(bars, Signals.empty(bars), cash=cash)
    equity = result.raw.equity.copy()
    equity["equity"] = values
    events = np.zeros(1 if deposit else 0, EVENT)
    if deposit:
        events["row"], events["kind"] = len(values) - 1, codes.KIND_ACCOUNT
        events["reason"], events["price"] = codes.REASON_DEPOSIT, deposit
    account = result.raw.account.copy()
    account["command_seq"] = len(events)
    return Result(dataclasses.replace(result.raw, equity_runs=equity, events=events, account=account))


def test_constructing_a_result_computes_nothing(daily: Result) -> None:
    best = min(timeit.repeat(lambda: Result(daily.raw), number=100, repeat=5)) / 100
    assert best < 20e-6
    assert set(vars(Result(daily.raw))) == {"raw", "_benchmark"}


def test_what_was_worked_out_is_kept(daily: Result) -> None:
    assert daily.trades is daily.trades
    assert daily.metrics is daily.metrics
    assert daily.equity is daily.equity


def test_trades_have_the_promised_columns(daily: Result) -> None:
    assert list(daily.trades.columns[: len(TRADE_COLUMNS)]) == TRADE_COLUMNS
    assert {"sector", "strategy", "initial_risk"} <= set(daily.trades.columns)
    assert str(daily.trades["entry_time"].dtype) == "datetime64[ns, UTC]"
    assert set(daily.trades["side"]) == {1, -1}
    assert set(daily.trades["tag"]) == {"even", "odd"}


def test_trades_fills_and_equity_tell_one_story(daily: Result) -> None:
    trades, fills = daily.trades, daily.fills
    assert daily.equity.name == "equity"
    assert daily.equity.iloc[-1] - daily.raw.cash == pytest.approx(trades["pnl"].sum())
    flow = -(fills["side"] * fills["qty"] * fills["price"]).sum() - fills["fee"].sum()
    assert daily.raw.cash + flow == pytest.approx(daily.exposure["cash"].iloc[-1])
    assert fills["fee"].sum() == pytest.approx(trades["fees"].sum())
    assert ((trades["mae"] <= 0) & (trades["mfe"] >= 0)).all()
    ratio = trades["pnl"] / trades["initial_risk"]
    assert ratio.to_numpy() == pytest.approx(trades["r_multiple"].to_numpy())


def test_equity_is_cash_and_positions_at_their_marks(daily: Result) -> None:
    bars, fills = daily.raw.bars, daily.raw.fills
    held = np.zeros((len(bars), len(bars.symbols)))
    np.add.at(held, (fills["row"], fills["sym"]), fills["side"] * fills["qty"])
    marks = pd.DataFrame(bars.close).ffill().to_numpy()
    worth = np.nansum(np.cumsum(held, axis=0) * marks, axis=1)
    assert daily.exposure["cash"].to_numpy() + worth == pytest.approx(daily.equity.to_numpy())


def test_every_signal_has_one_verdict_with_its_reason(daily: Result) -> None:
    verdicts = daily.verdicts
    assert len(verdicts) == len(daily.raw.signals)
    assert set(verdicts["outcome"]) == {"admitted", "shrunk", "rejected"}
    shrunk = verdicts[verdicts["outcome"] == "shrunk"]
    assert (shrunk["granted"] < shrunk["asked"]).all()
    assert set(shrunk["reason"]) == {"shrunk"}
    assert "sector" in set(shrunk["rule"])
    rejected = verdicts[verdicts["outcome"] == "rejected"]
    assert (rejected["reason"] == rejected["rule"]).all()
    admitted = verdicts[verdicts["outcome"] == "admitted"]
    assert admitted["absent"].iloc[0] == ["strength", "score"]
    counts = daily.verdict_counts
    assert counts["signals"].sum() == len(verdicts)
    assert counts["rejected"].sum() == daily.metrics["rejected"]


def test_events_name_orders_and_the_account(daily: Result) -> None:
    events = daily.events
    account = events[events["kind"] == "account"]
    assert set(account["symbol"]) == {""}
    assert "daily_loss_halt" in set(account["reason"])
    assert {"pending", "submitted", "filled"} <= set(events["state"])


def test_drawdown_starts_at_the_initial_cash(daily: Result) -> None:
    expected = daily.equity / daily.equity.cummax().clip(lower=daily.raw.cash) - 1.0
    assert daily.drawdown.to_numpy() == pytest.approx(expected.to_numpy())
    assert daily.drawdown.min() == pytest.approx(daily.metrics["max_drawdown"])


def test_a_deposit_moves_the_base_and_the_peak() -> None:
    result = two_days([100.0, 110.0, 209.0], 100.0, deposit=100.0)
    assert result.returns.tolist() == pytest.approx([0.0, 0.1, 209.0 / 210.0 - 1.0])
    assert result.drawdown.tolist() == pytest.approx([0.0, 0.0, 209.0 / 210.0 - 1.0])


@pytest.mark.parametrize("what", GROUPS)
def test_groups_add_up_to_the_whole(what: str, daily: Result) -> None:
    table = daily.by(what)
    assert table["trades"].sum() == daily.metrics["trades"]
    assert table["pnl"].sum() == pytest.approx(daily.trades["pnl"].sum())
    assert table["fees"].sum() == pytest.approx(daily.trades["fees"].sum())
    weighted = (table["win_rate"] * table["trades"]).sum() / table["trades"].sum()
    assert weighted == pytest.approx(daily.metrics["win_rate"])


def test_the_table_by_year_has_the_accounts_return(daily: Result) -> None:
    table = daily.by("year")
    assert (1.0 + table["return"]).prod() == pytest.approx(1.0 + daily.metrics["total_return"])
    assert table.index.is_monotonic_increasing


def test_a_year_without_trades_still_has_its_return() -> None:
    result = two_days([100.0, 101.0], 100.0)
    table = result.by("year")
    assert table["trades"].tolist() == [0]
    assert table["return"].tolist() == pytest.approx([0.01])


def test_an_unknown_group_is_refused_with_a_hint(daily: Result) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'sector'") as caught:
        daily.by("sectors")
    assert caught.value.code == "NAME_GROUP"


def test_months_compound_to_years(daily: Result) -> None:
    table = daily.monthly_returns
    assert list(table.columns) == [*"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec Year".split()]
    product = (1.0 + table.iloc[:, :12].fillna(0.0)).prod(axis=1) - 1.0
    assert product.to_numpy() == pytest.approx(table["Year"].to_numpy())
    assert daily.monthly_returns.notna().sum().sum() > 20


def test_the_default_benchmark_holds_all_symbols(daily: Result) -> None:
    close = pd.DataFrame(daily.raw.bars.close).ffill()
    first = close.bfill().iloc[0]
    expected = (close / first).fillna(1.0).mean(axis=1) * daily.raw.cash
    assert daily.benchmark.to_numpy() == pytest.approx(expected.to_numpy())
    assert daily.benchmark_name == "buy and hold of all 4 symbols"


def test_a_symbol_a_series_and_bars_are_the_same_benchmark(daily: Result) -> None:
    bars = daily.raw.bars
    by_symbol = daily.with_benchmark(bars.symbols[1]).metrics
    series = bars.frame(bars.symbols[1])["close"]
    by_series = daily.with_benchmark(series).metrics
    by_bars = daily.with_benchmark(bars.select([bars.symbols[1]])).metrics
    for name in ("alpha", "beta", "correlation", "up_capture", "down_capture", "benchmark_return"):
        assert by_series[name] == pytest.approx(by_symbol[name]), name
        assert by_bars[name] == pytest.approx(by_symbol[name]), name


def test_a_benchmark_with_naive_dates_and_gaps_is_read(daily: Result) -> None:
    index = pd.bdate_range("2022-01-03", "2025-12-31", freq="W-FRI")
    result = daily.with_benchmark(
        pd.Series(np.linspace(100.0, 150.0, len(index)), index=index, name="weekly")
    )
    assert result.benchmark_name == "weekly"
    assert math.isfinite(result.metrics["beta"])


@pytest.mark.parametrize(
    "benchmark",
    [
        pd.Series([1.0, 2.0]),
        pd.Series([100.0], index=pd.to_datetime(["2090-01-01"])),
        pd.Series([0.01, -0.02], index=pd.to_datetime(["2001-01-01", "2001-01-02"])),
        17,
    ],
    ids=["no times", "too late", "returns", "a number"],
)
def test_an_impossible_benchmark_is_refused(benchmark: object, daily: Result) -> None:
    with pytest.raises(DataError) as caught:
        _ = daily.with_benchmark(benchmark).metrics  # type: ignore[arg-type]  # that is what is tested
    assert caught.value.code == "DATA_BENCHMARK"


def test_an_unknown_symbol_is_no_benchmark(daily: Result) -> None:
    with pytest.raises(UnknownNameError):
        _ = daily.with_benchmark("NONE").metrics


def test_a_daily_benchmark_serves_an_intraday_run(intraday: Result) -> None:
    bars = intraday.raw.bars
    hourly = intraday.with_benchmark(bars.symbols[0]).benchmark_returns
    by_day = intraday.with_benchmark(bars.resample("1D").select([bars.symbols[0]])).benchmark_returns
    assert by_day.iloc[1:].to_numpy() == pytest.approx(hourly.iloc[1:].to_numpy())


def test_metrics_survive_without_a_log(daily: Result) -> None:
    bare = without_log(daily)
    assert bare.metrics["sharpe"] == daily.metrics["sharpe"]
    assert math.isnan(bare.metrics["shrunk"])
    assert math.isnan(bare.metrics["beta"])
    for name in ("trades", "fills", "verdicts", "events", "equity", "drawdown", "returns"):
        with pytest.raises(EngineError) as caught:
            getattr(bare, name)
        assert caught.value.code == "ENGINE_NO_LOG"


def test_a_run_that_stopped_early_covers_the_bars_it_saw(daily: Result) -> None:
    part = Result(dataclasses.replace(daily.raw, equity_runs=daily.raw.equity[:100]))
    assert len(part.equity) == len(part.benchmark) == len(part.drawdown) == 100


def test_results_stand_side_by_side(daily: Result, intraday: Result) -> None:
    table = compare({"a": daily, "b": intraday})
    assert table.loc["sharpe", "a"] == daily.metrics["sharpe"]
    assert table.loc["trades", "b"] == intraday.metrics["trades"]


def test_equal_runs_have_equal_fingerprints(daily: Result) -> None:
    raw = daily.raw
    again = backtest(raw.bars, raw.signals, cash=raw.cash, risk=raw.risk, costs=raw.costs)
    chunked = backtest(raw.bars, raw.signals, cash=raw.cash, risk=raw.risk, costs=raw.costs, chunk=37)
    assert daily.fingerprint == again.fingerprint == chunked.fingerprint
    assert len(daily.fingerprint) == 64


@pytest.mark.parametrize(
    "field", ["cash", "engine_hash", "fills", "closed_trades", "verdicts", "events", "equity_runs", "costs"]
)
def test_any_difference_changes_the_fingerprint(field: str, daily: Result) -> None:
    raw = daily.raw
    value: Any = getattr(raw, field)
    changed: Any
    if isinstance(value, np.ndarray):
        changed = value.copy()
        changed.view(np.uint8)[-1] ^= 1
    elif isinstance(value, float):
        changed = value + 1.0
    elif isinstance(value, str):
        changed = value + "x"
    else:
        changed = value.replace(commission_min=2.0)
    assert (
        Result(dataclasses.replace(raw, **dict[str, Any]({field: changed}))).fingerprint != daily.fingerprint
    )


def test_a_result_says_what_it_is(daily: Result) -> None:
    assert "trades" in repr(daily)
    assert daily.data_label == "SYNTHETIC"


def test_a_run_without_signals_is_complete(tmp_path: Path, daily: Result) -> None:
    result = backtest(daily.raw.bars, Signals.empty(daily.raw.bars))
    assert len(result.trades) == len(result.fills) == len(result.verdicts) == 0
    assert result.metrics["total_return"] == 0.0
    assert len(result.by("tag")) == 0
    assert len(result.verdict_counts) == 0
    assert "Total return" in result.summary()
    assert result.report(tmp_path / "empty.html").stat().st_size > 10_000
    assert len(result.export(tmp_path / "empty")) == 6
