"""`Result`: what came of a run, worked out piece by piece as it is asked for.

Building one costs nothing: it keeps the driver's records. Every table, curve and metric is made on first use
and kept; what is returned may be changed by the caller only at the caller's own risk, because the next call
returns the same object.

>>> from simulator import Signals, backtest, load_bars
>>> bars = load_bars("synthetic:2x60?seed=1")
>>> result = backtest(bars, Signals.from_arrays(bars, [10], 0, 1, stop_percent=5.0))
>>> len(result.trades), result.metrics["trades"]
(1, 1)
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from simulator.bars.arrays import DAY
from simulator.bars.panel import Bars
from simulator.errors import EngineError
from simulator.kernel import codes
from simulator.results import curves
from simulator.results.frames import (
    events_frame,
    fills_frame,
    trades_frame,
    verdicts_frame,
)
from simulator.results.greeks import greeks_frame
from simulator.results.identity import fingerprint_of
from simulator.results.interval import IntervalReport
from simulator.results.metrics import METRIC_DEFINITIONS, benchmark_metrics, metrics_from_accumulators
from simulator.results.packages import BUCKETS, opened_packages, packages_frame
from simulator.results.raw import RawRun
from simulator.results.tables import group_packages, group_trades, monthly_table, verdict_table

if TYPE_CHECKING:
    import pandas as pd

    from simulator.approval import Reviewed
    from simulator.results.counterfactuals import Counterfactuals
    from simulator.results.kept import KeptRun
    from simulator.types import ResultSink

    Benchmark = pd.Series[float] | Bars | str | None

__all__ = ["Result"]

Floats = npt.NDArray[np.float64]


class Result:
    """Trades, equity, verdicts and metrics of one run.

    Parameters
    ----------
    raw
        What the driver hands over.
    benchmark
        What alpha, beta and capture are measured against: a Series of prices by time, `Bars` (held equally
        weighted), a symbol of the run's own bars, or None: all symbols of the bars, bought in equal parts at
        their first closes and held. `with_benchmark` sets it later.
    """

    reviewed: Reviewed | None = None
    """What a person made of the signals, where the run had an `approval`."""

    def __init__(self, raw: RawRun, *, benchmark: Benchmark = None) -> None:
        self.raw = raw
        self._benchmark = benchmark

    def __repr__(self) -> str:
        m = self.raw.metrics[0]
        modelled = ", options modelled" if self.option_grade == "modelled" else ""
        return (
            f"Result({self.raw.bars.name}{modelled}: {m['trades']} trades, {m['signals']} signals, "
            f"{m['bars']} bars)"
        )

    def with_benchmark(self, benchmark: Benchmark) -> Result:
        """Return the same run measured against something else."""
        other = Result(self.raw, benchmark=benchmark)
        other.reviewed = self.reviewed
        return other

    # Logs as tables

    @cached_property
    def trades(self) -> pd.DataFrame:
        """One row per position, in the order in which they ended; open ones last, at their mark.

        `pnl` is net of fees and includes dividends, in currency; `r_multiple` is pnl over `initial_risk` (NaN
        without a stop); `mae` <= 0 <= `mfe` are fractions of the entry price; `qty` is the quantity of all
        entries and the prices are their average and the exits'.
        """
        self._check_log()
        return trades_frame(self.raw)

    @cached_property
    def fills(self) -> pd.DataFrame:
        """One row per fill, with the price rule, source and data grade behind it."""
        self._check_log()
        return fills_frame(self.raw)

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """One row per signal: outcome, rule, value against limit, quantity asked and granted."""
        self._check_log()
        return verdicts_frame(self.raw)

    @cached_property
    def package_ids(self) -> frozenset[int]:
        """Ids of the trades that are option packages."""
        return frozenset(opened_packages(self.raw)["position"].tolist())

    @cached_property
    def packages(self) -> pd.DataFrame:
        """Trades of option packages: as `trades`, with legs, expiry, dte, captured, iv_rank and grade."""
        return packages_frame(self.raw, self.trades)

    @cached_property
    def greeks(self) -> pd.DataFrame:
        """Greeks of the account at the close of each bar; no rows where the run opened no option package.

        `delta` in shares, those of stock positions included; `beta_dollar_delta`: what the account gains for
        a benchmark that doubles, in currency, so that a hundredth of it is the gain for 1 %; `gamma` in
        shares per 1.00 of the underlying; `theta` in currency per calendar day; `vega` in currency per
        percentage point of volatility; `grade` "quoted", "modelled", or "" where no package is held. Of
        several symbols, delta and gamma are plain sums.

        0 where nothing is held. NaN where a package is held whose underlying has no bar, or whose market no
        volatility or quote, at that bar; `beta_dollar_delta` also where the beta of a symbol is not known yet
        (30 sessions; a symbol's beta to itself is 1). Betas are those of `simulator.options.exposure.beta`,
        against the benchmark of this result. Volatilities are the marks': the surface's, or what the quotes
        imply, and American options are American.
        """
        self._check_log()
        own = self._benchmark if isinstance(self._benchmark, str) else None
        symbols = self.raw.bars.symbols
        if self._benchmark is None and len(symbols) == 1:
            own = symbols[0]
        levels = None if own is not None or not self.package_ids else self._benchmark_curve[self._ends]
        return greeks_frame(self.raw, self._index, levels, own)

    @cached_property
    def events(self) -> pd.DataFrame:
        """Order events (submitted, raised, cancelled, expired, ...) and events of the account."""
        self._check_log()
        return events_frame(self.raw)

    # Curves

    @cached_property
    def equity(self) -> pd.Series[float]:
        """Equity at the close of each bar, in currency: cash plus positions at their marks."""
        return self._series(self.raw.equity["equity"].copy(), "equity")

    @cached_property
    def drawdown(self) -> pd.Series[float]:
        """Equity / highest equity so far - 1 at each bar: 0 or negative."""
        return self._series(self._drawdown, "drawdown")

    @cached_property
    def exposure(self) -> pd.DataFrame:
        """Cash and gross value in currency, heat as a fraction of equity, and the halt state, per bar."""
        import pandas as pd

        self._check_log()
        log = self.raw.equity
        columns = {name: log[name].copy() for name in ("equity", "cash", "gross", "heat", "state")}
        return pd.DataFrame(columns, index=self._index)

    @cached_property
    def benchmark(self) -> pd.Series[float]:
        """Worth of the initial cash in the benchmark at each bar; NaN before a given Series begins."""
        return self._series(self._benchmark_curve * self.raw.cash, "benchmark")

    @cached_property
    def benchmark_name(self) -> str:
        """What the benchmark is, in words."""
        given = self._benchmark
        if given is None:
            symbols = self.raw.bars.symbols
            return "buy and hold " + (symbols[0] if len(symbols) == 1 else f"of all {len(symbols)} symbols")
        if isinstance(given, str):
            return f"buy and hold {given}"
        return str(getattr(given, "name", None) or "benchmark")

    @cached_property
    def returns(self) -> pd.Series[float]:
        """Simple returns of sessions, indexed by session date (midnight UTC)."""
        return self._by_session(self._session_returns, "returns")

    @cached_property
    def benchmark_returns(self) -> pd.Series[float]:
        """The benchmark's returns of the same sessions; the first counts from the first bar's close."""
        return self._by_session(self._benchmark_session_returns, "benchmark")

    # Numbers

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Metrics by name; `docs/metrics.md` and `simulator.results.METRIC_DEFINITIONS` define them."""
        raw = self.raw
        per_year = raw.bars.sessions_per_year
        table = metrics_from_accumulators(raw.metrics, raw.account, per_year)
        found: dict[str, float] = {name: values[0].item() for name, values in table.items()}
        found.update(self._verdict_counts())
        if self._has_log:
            found.update(benchmark_metrics(self._session_returns, self._benchmark_session_returns, per_year))
        return {name: found.get(name, float("nan")) for name in METRIC_DEFINITIONS}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over engine, configuration, bars, signals and everything that came out."""
        return fingerprint_of(self.raw)

    @property
    def data_label(self) -> str:
        """REAL, SYNTHETIC or USER: where the prices come from, and whether quotes of options are MODELLED."""
        origin = self.raw.bars.origin.upper()
        return f"{origin}, OPTIONS MODELLED" if self.option_grade == "modelled" else origin

    @property
    def option_grade(self) -> str:
        """Where quotes of options come from: "quoted", "modelled", or "" where the bars know none."""
        options = self.raw.bars.options
        return "" if options is None else options.grade

    # Tables

    def by(self, what: str) -> pd.DataFrame:
        """Return trade statistics by "tag", "sector", "year", "symbol", "strategy", "exit_reason" or "side".

        The table by year also has the account's `return` of each year. Option packages are grouped by
        "iv_rank" and "dte" too, both at the entry, with the mean share of the premium `captured`.
        """
        if what in BUCKETS:
            return group_packages(self.packages, what)
        table = group_trades(self.trades, what)
        if what != "year":
            return table
        yearly = self.monthly_returns["Year"].rename("return")
        joined = table.join(yearly, how="outer").sort_index()
        return joined.fillna({"trades": 0, "pnl": 0.0, "fees": 0.0}).astype({"trades": np.int64})

    @cached_property
    def monthly_returns(self) -> pd.DataFrame:
        """Compounded session returns: a row per year, columns Jan to Dec and Year, NaN without a session."""
        return monthly_table(self._session_returns, self.raw.bars.session[self._ends])

    @cached_property
    def verdict_counts(self) -> pd.DataFrame:
        """How many signals each rule admitted, shrunk and rejected, the most frequent first."""
        return verdict_table(self.verdicts)

    def interval(self) -> IntervalReport:
        """Return the interval over all conventions; made on the first call, which runs the market again.

        Raises `EngineError` ENGINE_INTERVAL where the driver cannot make one.
        """
        return self._interval

    @property
    def interval_if_made(self) -> IntervalReport | None:
        """The interval where `interval()` has been called already, else None."""
        made = self.__dict__.get("_interval")
        return made if isinstance(made, IntervalReport) else None

    def counterfactuals(self) -> Counterfactuals:
        """Return what the signals that were refused would have come to, and what each rule saved.

        Made on the first call, which runs each of them alone to its end; see `simulator.shadow`.
        """
        self._check_log()
        return self._counterfactuals

    # Handing on

    def summary(self, *, width: int | None = None, color: bool | None = None) -> str:
        """Return a terminal table of at most 100 columns, coloured where standard output is a terminal."""
        from simulator.results.summary import summary_of

        return summary_of(self, width=width, color=color)

    def report(
        self,
        path: str | Path,
        *,
        interval: bool = False,
        title: str | None = None,
        paper: Literal["a4", "letter"] = "a4",
    ) -> Path:
        """Write one file that needs nothing else, HTML or PDF by its ending, and return its path.

        It contains the interval if that was made before, or with `interval=True`; `paper` is that of a PDF.
        Raises `ConfigError` CONFIG_OUTPUT where the file cannot be written; for a PDF, which an installed
        Chromium prints, also CONFIG_NO_CHROMIUM and CONFIG_PDF.
        """
        from simulator.results.report import write_report

        if interval:
            self.interval()
        return write_report(self, Path(path), title=title, paper=paper)

    def export(self, folder: str | Path, *, format: Literal["csv", "parquet", "json"] = "csv") -> list[Path]:
        """Write trades, fills, verdicts, events, equity and metrics into a folder; return the paths.

        Runs with option packages have `greeks` too, with the grade of their quotes in every row.
        Raises `UnknownNameError` NAME_FORMAT, `ConfigError` CONFIG_OUTPUT where the folder cannot be written.
        """
        from simulator.results.export import export_result

        return export_result(self, Path(folder), format)

    def keep(
        self, folder: str | Path, *, strategy: Any = None, note: str = "", report: bool = True
    ) -> KeptRun:
        """Keep the run in a folder of runs, for `twinstep runs` and the dashboard, and return its entry.

        The same run again, known by its fingerprint, replaces its file: there is one entry of it, with the
        time at which it was first kept, and with its note where none is given now.

        Parameters
        ----------
        folder
            Made where it is not there. `twinstep backtest` keeps in `runs` beside the journal.
        strategy
            What ran: its parameters are kept too, which a result by itself does not know.
        note
            Words to find it by, at most 2,000 signs.
        report
            Whether to keep the HTML report with it, about 150 kB of the file's 200.

        Raises
        ------
        ConfigError
            CONFIG_OUTPUT where it cannot be written.
        """
        from simulator.results.keeping import keep_result

        return keep_result(self, folder, strategy=strategy, note=note, report=report)

    def to_vectorbt(self) -> Any:
        """Return a `vectorbt.Portfolio` made from the fills; see `simulator.results.handover`."""
        from simulator.results.handover import to_vectorbt

        return to_vectorbt(self)

    def to_quantstats(self) -> pd.Series[float]:
        """Return session returns as quantstats wants them: a Series named "returns" by naive dates."""
        from simulator.results.handover import to_quantstats

        return to_quantstats(self)

    def to_journal(self, journal: ResultSink, source: str = "backtest", *, label: str = "") -> Any:
        """Store the run with its trades and verdicts in a `TradeJournal`, and return what was stored.

        The same result a second time adds nothing. Positions that were open when the data ended are stored as
        closed at their mark.
        """
        return journal.store_result(self, source=source, label=label)

    # Inner arrays, over the bars that the run has seen

    @property
    def _has_log(self) -> bool:
        return len(self.raw.equity_runs) > 0

    def _check_log(self) -> None:
        if not self._has_log and self.raw.metrics["bars"][0] > 0:
            raise EngineError(
                "this run kept no log (log=False), so it has metrics only; run it again with its log on",
                code="ENGINE_NO_LOG",
            )

    def _series(self, values: Floats, name: str) -> pd.Series[float]:
        import pandas as pd

        self._check_log()
        return pd.Series(values, index=self._index, name=name)

    def _by_session(self, values: Floats, name: str) -> pd.Series[float]:
        import pandas as pd

        self._check_log()
        days = self.raw.bars.session[self._ends].astype("datetime64[D]").astype("datetime64[ns]")
        return pd.Series(values, index=pd.DatetimeIndex(days, name="time").tz_localize("UTC"), name=name)

    @cached_property
    def _index(self) -> pd.DatetimeIndex:
        return self.raw.bars.index[: self.raw.seen]

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        return curves.session_ends(self.raw.bars, self.raw.seen)

    @cached_property
    def _deposits(self) -> Floats | None:
        return curves.deposits_of(self.raw)

    @cached_property
    def _drawdown(self) -> Floats:
        return curves.drawdown_of(self.raw.equity["equity"], self.raw.cash, self._deposits)

    @cached_property
    def _session_returns(self) -> Floats:
        return curves.session_returns(
            self.raw.equity_at(self._ends), self.raw.cash, self._deposits, self._ends
        )

    @cached_property
    def _benchmark_curve(self) -> Floats:
        bars, given = self.raw.bars, self._benchmark
        n = self.raw.seen
        if given is None:
            return curves.buy_and_hold(bars)[:n]
        if isinstance(given, str):
            return curves.buy_and_hold(bars, [bars.column(given)])[:n]
        if isinstance(given, Bars):
            return curves.held_beside(given, bars)[:n]
        # a daily bar is complete when its date is over: prices of that date may carry any time of it
        times = bars.ts + (DAY - 1) if bars.daily else bars.close_ts
        return curves.values_at(given, times[:n])

    @cached_property
    def _benchmark_session_returns(self) -> Floats:
        curve = self._benchmark_curve
        last = curve[self._ends]
        before = np.concatenate([curve[:1], last[:-1]])
        return np.asarray(last / before - 1.0)

    @cached_property
    def _interval(self) -> IntervalReport:
        if self.raw.interval_runner is None:
            raise EngineError(
                "this run cannot make its interval: it kept no log, or comes from a driver that does not "
                "hold the whole history; use backtest(...)",
                code="ENGINE_INTERVAL",
            )
        return self.raw.interval_runner()

    @cached_property
    def _counterfactuals(self) -> Counterfactuals:
        from simulator.results.counterfactuals import counterfactuals_of

        return counterfactuals_of(self.raw)

    def _verdict_counts(self) -> dict[str, float]:
        if len(self.raw.verdicts) != self.raw.metrics["signals"][0]:
            return {}
        counts = np.bincount(self.raw.verdicts["reason"], minlength=codes.REASON_CLOSE_ACCEPTED + 1)
        shrunk = int(counts[codes.REASON_SHRUNK])
        accepted = int(counts[codes.REASON_ADMITTED]) + int(counts[codes.REASON_CLOSE_ACCEPTED])
        return {"shrunk": shrunk, "rejected": len(self.raw.verdicts) - accepted - shrunk}
