from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator import Bars, Signals, backtest, load_bars
from simulator.errors import ConfigError, EngineError, MissingExtraError, TwinstepWarning, UnknownNameError
from simulator.results import IntervalReport, Result
from simulator.results.cut import cut_of
from simulator.results.histogram import histogram_of
from simulator.results.interval import INTERVAL_COLUMNS, NO_BOUND
from simulator.results.metrics import format_metric
from simulator.results.pagedata import CANDLES, page_data

HOSTILE = "<img src=x onerror=alert(1)>&\"'</script><b>"


def interval_of(result: Result, *, profile: str = "realistic") -> IntervalReport:
    trades = result.trades
    depends = np.arange(len(trades)) % 3 == 0
    frame = pd.DataFrame(
        {
            "trade": trades["id"],
            "symbol": trades["symbol"],
            "entry_time": trades["entry_time"],
            "pnl": trades["pnl"],
            "r": trades["r_multiple"],
            "pnl_min": trades["pnl"] - 100.0 * depends,
            "pnl_max": trades["pnl"] + 50.0 * depends,
            "r_min": trades["r_multiple"] - 0.1 * depends,
            "r_max": trades["r_multiple"] + 0.05 * depends,
            "depends": depends,
        }
    )
    return IntervalReport(
        frame, worst=result.metrics, best=result.metrics, base=result.metrics, profile=profile
    )


def with_interval(result: Result, *, profile: str = "realistic") -> Result:
    report = interval_of(result, profile=profile)
    return Result(dataclasses.replace(result.raw, interval_runner=lambda: report))


class Page(HTMLParser):
    """Tags, attributes and the data of a report; fails on unbalanced tags."""

    VOID = frozenset({"meta", "link", "img", "br", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open and self.open[-1] == "script" else self.words).append(data)


# The summary


@pytest.mark.parametrize("width", [60, 80, 100, 300])
def test_the_summary_fits_its_width(width: int, daily: Result) -> None:
    text = daily.summary(width=width, color=False)
    assert max(len(line) for line in text.splitlines()) <= min(width, 100)


def test_the_summary_says_what_matters(daily: Result) -> None:
    text = daily.summary(color=False)
    assert "SYNTHETIC DATA" in text
    assert "Total return" in text
    assert re.search(r"sector +\d+ +\d*", text)
    assert f"{daily.metrics['admitted']:,} of {daily.metrics['signals']:,} signals admitted" in text
    assert f"{daily.metrics['sessions_halted']} of {daily.metrics['sessions']} sessions halted" in " ".join(
        text.split()
    )
    assert "\x1b" not in text
    assert "\x1b" in daily.summary(color=True)


def test_time_below_a_peak_has_its_unit(daily: Result) -> None:
    sessions = f"{daily.metrics['max_drawdown_sessions']:,} sessions"
    assert re.search(rf"Longest drawdown +{sessions}", daily.summary(width=100, color=False))
    assert format_metric("max_drawdown_sessions", 1) == "1 session"
    assert format_metric("sessions", 1) == "1"


def test_figures_too_long_for_three_columns_stand_in_one(daily: Result) -> None:
    raw = dataclasses.replace(daily.raw, account=daily.raw.account.copy())
    raw.account["equity"] *= 1e9
    lines = Result(raw).summary(width=100, color=False).splitlines()
    assert sum("…" in line for line in lines) == 0
    (line,) = (one for one in lines if one.startswith("Final equity"))
    assert line.split()[2:] == [f"{raw.account['equity'][0]:,.2f}"]


def test_trades_that_a_limit_left_little_of_are_counted_and_weighed(daily: Result, tmp_path: Path) -> None:
    found = cut_of(daily.raw)
    assert found is not None
    granted = daily.verdicts[daily.verdicts["granted"] > 0].set_index("signal")
    left = (granted["granted"] / granted["asked"]).to_dict()
    entered = daily.fills.drop_duplicates("position")  # the first fill of a position opens it
    signal = dict(zip(entered["position"], entered["signal"], strict=True))
    assert found.cut == sum(left[signal[number]] < 0.1 for number in daily.trades["id"]) > 0
    known = daily.trades.dropna(subset="r_multiple")
    assert found.weighted_r == pytest.approx(known["pnl"].sum() / known["initial_risk"].sum())
    assert found.average_r == pytest.approx(daily.metrics["average_r"])
    words = (
        f"{found.cut} of {len(daily.trades)} trades were cut to less than a tenth of what was asked; "
        f"average R weighted by risk taken is {found.weighted_r:.3f} R (unweighted {found.average_r:.3f} R)"
    )
    assert words in " ".join(daily.summary(width=100, color=False).split())
    page = daily.report(tmp_path / "r.html").read_text(encoding="utf-8")
    assert words in " ".join(" ".join(Page(page).words).split())


def test_where_no_trade_was_cut_that_much_nothing_is_said(daily: Result) -> None:
    verdicts = daily.raw.verdicts.copy()
    verdicts["granted"] = np.where(verdicts["granted"] > 0, 0.1 * verdicts["asked"], 0.0)
    result = Result(dataclasses.replace(daily.raw, verdicts=verdicts))
    assert cut_of(result.raw) is None
    assert "a tenth" not in result.summary(color=False)


def test_the_summary_has_the_interval_once_it_is_made(daily: Result) -> None:
    result = with_interval(daily)
    assert "not computed" in result.summary(color=False)
    result.interval()
    assert "trades depend on the convention" in result.summary(color=False)


# The interval


def test_the_interval_adds_up(daily: Result) -> None:
    report = interval_of(daily)
    count = int(report.frame["depends"].sum())
    assert report.lowest_pnl == pytest.approx(report.base_pnl - 100.0 * count)
    assert report.highest_pnl == pytest.approx(report.base_pnl + 50.0 * count)
    assert report.lowest_mean_r < report.base_mean_r < report.highest_mean_r
    assert len(report.dependent) == count


def test_the_interval_says_what_is_no_bound(daily: Result) -> None:
    text = interval_of(daily).text(width=100, color=False)
    assert NO_BOUND in text.replace("\n", " ")
    assert max(len(line) for line in text.splitlines()) <= 100
    assert str(interval_of(daily)).startswith("Convention interval: ")


def test_the_interval_is_json(daily: Result) -> None:
    document = json.loads(json.dumps(interval_of(daily).to_dict(), allow_nan=False))
    assert document["dependent_trades"] == len(document["depending"])
    assert document["pnl"]["lowest"] < document["pnl"]["highest"]


def test_an_interval_without_its_columns_is_refused() -> None:
    with pytest.raises(EngineError) as caught:
        IntervalReport(pd.DataFrame(columns=list(INTERVAL_COLUMNS[:-1])), worst={}, best={})
    assert caught.value.code == "ENGINE_INTERVAL_COLUMNS"


def test_a_run_that_cannot_make_its_interval_says_so(daily: Result) -> None:
    with pytest.raises(EngineError) as caught:
        Result(dataclasses.replace(daily.raw, interval_runner=None)).interval()
    assert caught.value.code == "ENGINE_INTERVAL"


def test_the_interval_is_made_once(daily: Result) -> None:
    result = with_interval(daily)
    assert result.interval_if_made is None
    assert result.interval() is result.interval() is result.interval_if_made


# The report


def test_a_report_stands_alone(daily: Result, tmp_path: Path) -> None:
    result = with_interval(daily)
    path = result.report(tmp_path / "deep" / "report.html", interval=True)
    text = path.read_text(encoding="utf-8")
    assert 30_000 < path.stat().st_size < 1_000_000
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in {"link", "img", "iframe", "object"}
        assert "src" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        if "href" in attributes:
            assert str(attributes["href"]).startswith("#")
    assert "http:" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in text
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        if tag == "a":
            assert str(attributes["href"])[1:] in ids


def test_a_report_allows_its_own_script_and_no_other(daily: Result, tmp_path: Path) -> None:
    page = Page(daily.report(tmp_path / "r.html").read_text(encoding="utf-8"))
    policy = next(
        str(attributes["content"])
        for _, attributes in page.tags
        if "Policy" in str(attributes.get("http-equiv"))
    )
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_a_report_shows_every_part(daily: Result, tmp_path: Path) -> None:
    result = with_interval(daily)
    text = result.report(tmp_path / "r.html", interval=True, title="My run").read_text(encoding="utf-8")
    words = " ".join(" ".join(Page(text).words).split())
    for needed in (
        "My run", "SYNTHETIC DATA", "Synthetic prices.", "Equity and drawdown", "Monthly returns",
        "Trades on price", "R-multiples", "Exit reasons", "What the risk manager answered",
        "Convention interval", "Metrics", "Breakdown", "Provenance", result.fingerprint,
        result.raw.engine_hash, NO_BOUND, "Mean session return / sample standard", "stop_first",
        "max portfolio heat pct", "ibkr-fixed",
    ):  # fmt: skip
        assert needed in words, needed
    assert "Run whole under the profile" in words
    widest = result.interval().dependent.iloc[0]
    assert f"{widest['pnl_max']:,.0f} {widest['r_max']:+.2f} R".replace("-", "−") in words


def test_a_report_escapes_symbols_tags_and_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, 120)))
    panel = np.stack([close, close * 1.02, close * 0.98, close, np.full(120, 1e6)], axis=1)[:, None, :]
    days = np.datetime64("2021-01-04", "ns").astype(np.int64) + np.arange(120) * 86_400_000_000_000
    bars = Bars.from_arrays([HOSTILE], days, panel, sectors={HOSTILE: HOSTILE}, name=HOSTILE)
    signals = Signals.from_arrays(
        bars, np.arange(5, 110, 10), 0, 1, stop_percent=3.0, target_r=2.0, tag=HOSTILE, strategy=HOSTILE
    )
    result = with_interval(backtest(bars, signals), profile=HOSTILE)
    assert len(result.trades) > 3
    text = result.report(tmp_path / "r.html", interval=True, title=HOSTILE).read_text(encoding="utf-8")
    assert "<img" not in text
    page = Page(text)
    assert len(page.scripts) == 2
    assert json.loads(page.scripts[0])["prices"]["symbols"][0]["name"] == HOSTILE
    assert HOSTILE in " ".join(page.words)
    # the terminal reads no markup either
    assert "[bold]" in Result(
        dataclasses.replace(result.raw, strategies=("", "[bold]"))
    ).summary(color=False)  # fmt: skip


def test_a_report_of_many_bars_and_symbols_stays_small(tmp_path: Path) -> None:
    bars = load_bars("synthetic:60x2500?seed=1")
    rows, symbols = (
        part.ravel() for part in np.meshgrid(np.arange(30, 2450, 40), np.arange(60), indexing="ij")
    )
    signals = Signals.from_arrays(bars, rows, symbols, 1, qty=1.0, stop_percent=5.0, max_bars=20)
    result = backtest(bars, signals, risk=None, cash=1e6)
    assert len(result.trades) > 3000
    assert result.report(tmp_path / "big.html").stat().st_size < 1_000_000
    data = page_data(result)
    assert data["left_out"]["symbols"] == 60 - 22
    assert data["left_out"]["trades"] > 0
    assert sum(len(symbol["close"]) for symbol in data["prices"]["symbols"]) <= CANDLES


def unpacked(data: dict[str, Any], symbol: int) -> dict[str, np.ndarray[Any, Any]]:
    """What the report's script does with packed candles."""
    packed = data["prices"]["symbols"][symbol]
    unit = 10.0 ** -packed["digits"]
    close = np.cumsum(packed["close"])
    before = np.concatenate([[0], close[:-1]])
    opened = before + packed["open"]
    return {
        "at": np.cumsum(packed["at"]) if packed["at"] else np.arange(len(close)),
        "open": opened * unit,
        "close": close * unit,
        "high": (np.maximum(opened, close) + packed["high"]) * unit,
        "low": (np.minimum(opened, close) - packed["low"]) * unit,
    }


def test_candles_are_the_bars(daily: Result) -> None:
    data = json.loads(json.dumps(page_data(daily), allow_nan=False))
    assert data["prices"]["k"] == 1
    for index, packed in enumerate(data["prices"]["symbols"]):
        frame = daily.raw.bars.frame(packed["name"]).reset_index(drop=True).dropna()
        found = unpacked(data, index)
        assert found["at"].tolist() == frame.index.tolist()
        for name in ("open", "high", "low", "close"):
            assert found[name] == pytest.approx(frame[name].to_numpy(), abs=10.0 ** -packed["digits"]), name


def test_long_curves_keep_their_extremes() -> None:
    bars = load_bars("synthetic:1x9000?seed=2")
    result = backtest(bars, Signals.from_arrays(bars, [5], 0, 1, qty=500.0), risk=None)
    data = page_data(result)
    assert len(data["curves"]["row"]) <= 4100
    assert data["prices"]["k"] == 2
    assert min(data["curves"]["drawdown"]) == pytest.approx(result.drawdown.min(), abs=1e-5)
    assert max(v for v in data["curves"]["equity"]) == pytest.approx(result.equity.max(), rel=1e-6)


def test_bins_are_centred_and_hold_everything() -> None:
    values = np.array([-1.02, -0.98, -1.0, 0.1, 2.9, 250.0, np.nan])
    bins = histogram_of(np.concatenate([values, np.full(1000, 1.0)]))
    assert sum(entry["count"] for entry in bins) == 1006
    assert next(entry for entry in bins if entry["low"] == -1.25)["count"] == 3
    assert len(bins) <= 41
    assert histogram_of(np.array([np.nan])) == []


def test_a_report_that_cannot_be_written_says_so(daily: Result, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        daily.report(tmp_path / "file" / "r.html")
    assert caught.value.code == "CONFIG_OUTPUT"


# Exports


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_exported_tables_can_be_read_back(kind: str, daily: Result, tmp_path: Path) -> None:
    written = daily.export(tmp_path / "out", format=kind)  # type: ignore[arg-type]  # parametrised text
    assert [path.name for path in written] == [
        *(f"{name}.{kind}" for name in ("trades", "fills", "verdicts", "events", "equity")), "run.json"
    ]  # fmt: skip
    read: Any = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": pd.read_json}[kind]
    trades, equity, verdicts = (
        read(tmp_path / "out" / f"{n}.{kind}") for n in ("trades", "equity", "verdicts")
    )
    assert trades["pnl"].to_numpy() == pytest.approx(daily.trades["pnl"].to_numpy(), rel=1e-12)
    assert pd.to_datetime(trades["entry_time"], utc=True).tolist() == daily.trades["entry_time"].tolist()
    assert equity["equity"].to_numpy() == pytest.approx(daily.equity.to_numpy(), rel=1e-12)
    assert {"cash", "gross", "drawdown", "benchmark"} <= set(equity.columns)
    assert len(verdicts) == len(daily.verdicts)


def test_the_run_document_is_strict_json(daily: Result, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    daily.export(folder, format="json")

    def refuse(word: str) -> None:
        raise AssertionError(word)

    document = json.loads((folder / "run.json").read_text(), parse_constant=refuse)
    assert document["fingerprint"] == daily.fingerprint
    assert document["metrics"]["trades"] == daily.metrics["trades"]
    assert document["data"]["origin"] == "synthetic"
    assert document["configuration"]["costs"]["name"] == "ibkr-fixed"


def test_intraday_times_keep_their_hours(intraday: Result, tmp_path: Path) -> None:
    intraday.export(tmp_path, format="csv")
    times = pd.read_csv(tmp_path / "equity.csv")["time"]
    assert pd.to_datetime(times, utc=True).tolist() == intraday.equity.index.tolist()


def test_an_unknown_format_is_refused(daily: Result, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        daily.export(tmp_path, format="parket")  # type: ignore[arg-type]  # that is what is tested
    assert caught.value.code == "NAME_FORMAT"
    assert "parquet" in str(caught.value)


def test_an_export_into_a_file_says_so(daily: Result, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        daily.export(tmp_path / "file")
    assert caught.value.code == "CONFIG_OUTPUT"


# Hand-over


@pytest.mark.parametrize("kind", ["daily", "intraday"])
def test_vectorbt_holds_the_same_equity_at_every_bar(kind: str, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("vectorbt")
    result: Result = request.getfixturevalue(kind)
    portfolio = result.to_vectorbt()
    value = portfolio.value()
    assert value.iloc[-1] == pytest.approx(result.metrics["final_equity"], rel=1e-9)
    assert value.loc[result.equity.index].to_numpy() == pytest.approx(result.equity.to_numpy(), rel=1e-9)
    assert portfolio.orders.count() == len(result.fills)


def test_what_vectorbt_cannot_hold_is_named(daily: Result) -> None:
    pytest.importorskip("vectorbt")
    account = daily.raw.account.copy()
    account["interest"] = 12.5
    with pytest.warns(TwinstepWarning, match=r"interest 12\.50"):
        Result(dataclasses.replace(daily.raw, account=account)).to_vectorbt()


def test_a_run_that_borrows_is_refused_by_vectorbt(daily: Result) -> None:
    pytest.importorskip("vectorbt")
    with pytest.raises(EngineError) as caught:
        Result(dataclasses.replace(daily.raw, cash=10.0)).to_vectorbt()
    assert caught.value.code == "ENGINE_VECTORBT"


def test_without_vectorbt_the_extra_is_named(daily: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "vectorbt", None)
    with pytest.raises(MissingExtraError, match=r"twinstep\[vectorbt\]") as caught:
        daily.to_vectorbt()
    assert caught.value.code == "ENGINE_EXTRA_VECTORBT"


def test_quantstats_agrees(daily: Result) -> None:
    stats = pytest.importorskip("quantstats").stats
    returns = daily.to_quantstats()
    assert returns.name == "returns"
    assert returns.index.tz is None  # type: ignore[attr-defined]  # the stubs know no DatetimeIndex here
    assert stats.sharpe(returns) == pytest.approx(daily.metrics["sharpe"])
    assert stats.sortino(returns) == pytest.approx(daily.metrics["sortino"])
    assert stats.volatility(returns) == pytest.approx(daily.metrics["volatility"])
    assert stats.cagr(returns) == pytest.approx(daily.metrics["cagr"])
    assert not math.isnan(stats.max_drawdown(returns))


def test_a_summary_says_what_kept_every_signal_out() -> None:
    bars = load_bars("synthetic:1x60?seed=1")
    signals = Signals.from_arrays(bars, [10, 20], 0, 1, stop_percent=5.0)
    text = backtest(bars, signals, cash=10.0).summary(color=False)
    assert "Nothing was admitted: 2 of 2 signals met min_quantity" in text
    assert "Nothing was admitted" not in backtest(bars, signals).summary(color=False)
