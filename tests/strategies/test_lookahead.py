"""The look-ahead proof: shipped strategies pass at every bar, planted leaks are caught."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from simulator.bars import Bars
from simulator.errors import StrategyError
from simulator.signals import Signals
from strategies.base import Strategy
from strategies.indicators import atr, carry, crossed_above, lag, sma
from strategies.lookahead import LookaheadReport, lookahead, warmup_report
from strategies.registry import EQUITY, strategy_class
from tests.budget import many_or_few

Mask = npt.NDArray[np.bool_]
MakeMarket = Callable[..., Bars]

VARIANTS: dict[str, dict[str, object]] = {
    "sma-cross both ways": {"fast": 5, "slow": 20, "direction": "both", "trail_atr": 3.0},
    "donchian-breakout weekly": {"length": 10, "weekly_average": 5},
    "donchian-breakout short": {"direction": "short", "exit_length": 5},
    "donchian-breakout both ways": {"direction": "both"},
    "rsi-pullback weekly": {"trend": 50, "weekly_average": 4, "oversold": 40.0},
    "atr-channel short": {"direction": "short", "length": 20},
    "atr-channel both ways": {"direction": "both", "length": 20},
    "gap-fade open": {"gap_atr": 0.5, "min_reward_risk": 1.0, "entry": "open"},
    "gap-fade long": {"gap_atr": 0.5, "min_reward_risk": 1.0, "direction": "long"},
    "pattern-scan lenient": {"min_score": 0.0, "min_reward_risk": 0.0},
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", EQUITY)
def test_every_shipped_strategy_passes_at_every_bar(name: str, market: Bars) -> None:
    bars = market[: many_or_few(len(market), 280)]
    report = lookahead(strategy_class(name)(), bars)
    assert report.passed, report.summary()
    assert report.prefixes == len(bars)
    assert report.signals > 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_pass_at_every_bar(variant: str, make_market: MakeMarket) -> None:
    strategy = strategy_class(variant.split()[0])(**VARIANTS[variant])
    report = lookahead(strategy, make_market(300, 2, seed=5))
    assert report.passed, report.summary()
    assert report.signals > 0


class Leak(Strategy):
    """Buys where `where` says so; the planted leaks differ only in that."""

    def where(self, bars: Bars) -> Mask:
        """Nowhere, where a planted leak has no `where` of its own."""
        return np.zeros_like(bars.close, dtype=bool)

    def signals(self, bars: Bars) -> Signals:
        return self.emit(bars, self.where(bars), 1, stop_percent=5.0)


class SingleBarShift(Leak):
    def where(self, bars: Bars) -> Mask:
        later = np.full(bars.close.shape, np.nan)
        later[:-1] = bars.close[1:]
        return later > bars.close * 1.02


class CentredWindow(Leak):
    def where(self, bars: Bars) -> Mask:
        smooth = pd.DataFrame(carry(bars.close)).rolling(5, center=True, min_periods=1).mean().to_numpy()
        return crossed_above(bars.close, smooth)


class FullSampleScaling(Leak):
    def where(self, bars: Bars) -> Mask:
        close = bars.close
        score = (close - np.nanmean(close, axis=0)) / (np.nanstd(close, axis=0) + 1e-9)
        return crossed_above(score, 1.0)


class FutureFilledGap(Leak):
    def signals(self, bars: Bars) -> Signals:
        # trades the bar before the gap, on a change measured with the price that filled it
        filled = pd.DataFrame(bars.close).bfill().to_numpy()
        rise = filled > lag(carry(bars.close)) * 1.005
        rows, columns = np.nonzero(np.isnan(bars.close) & rise)
        rows = np.maximum(rows - 1, 0)
        return Signals.from_arrays(bars, rows, columns, 1, stop_percent=5.0)


class UnfinishedWeek(Leak):
    def where(self, bars: Bars) -> Mask:
        week = (bars.session + 3) // 7
        weekly = pd.DataFrame(carry(bars.close)).groupby(week).transform("last").to_numpy(np.float64)
        return weekly > carry(bars.close) * 1.03


class PeekAtTheHighest(Leak):
    def where(self, bars: Bars) -> Mask:
        highest: npt.NDArray[np.float64] = np.nanmax(bars.high, axis=0)
        return bars.close > 0.9 * highest


class LastDate(Leak):
    def where(self, bars: Bars) -> Mask:
        recent = bars.session > bars.session[-1] - 30
        late: Mask = crossed_above(carry(bars.close), sma(bars.close, 10)) & recent[:, None]
        return late


class FullSampleRank(Leak):
    def where(self, bars: Bars) -> Mask:
        ranks = pd.DataFrame(bars.volume).rank(pct=True).to_numpy()
        return ranks > 0.95


class WrapAround(Leak):
    def where(self, bars: Bars) -> Mask:
        before = np.roll(carry(bars.close), 3, axis=0)
        return bars.close > 1.04 * before


class Interpolated(Leak):
    def where(self, bars: Bars) -> Mask:
        # a gap is filled halfway to the close that comes after it, and remembered two bars later
        drawn = pd.DataFrame(bars.close).interpolate(limit_area="inside").to_numpy()
        return bars.close > lag(drawn, 1) * 1.02

    def values(self, bars: Bars) -> dict[str, npt.NDArray[np.float64]]:
        return {"drawn": pd.DataFrame(bars.close).interpolate(limit_area="inside").to_numpy()}


class SmoothedBothWays(Leak):
    def where(self, bars: Bars) -> Mask:
        once = pd.DataFrame(carry(bars.close)).ewm(span=5, adjust=False).mean()
        both = once[::-1].ewm(span=5, adjust=False).mean()[::-1].to_numpy()
        return crossed_above(carry(bars.close), both)


class FutureStop(Leak):
    """The right entries, with a stop that knows how low the next bar goes."""

    def signals(self, bars: Bars) -> Signals:
        enter = crossed_above(carry(bars.close), sma(bars.close, 10))
        later = np.full(bars.low.shape, np.nan)
        later[:-1] = bars.low[1:]
        stop = np.fmin(bars.low, later) * 0.99
        return self.emit(bars, enter & (stop > 0), 1, stop=stop)


class SizedByTheOutcome(Leak):
    """The right entries and prices, with a quantity that depends on how the year ended."""

    def signals(self, bars: Bars) -> Signals:
        enter = crossed_above(carry(bars.close), sma(bars.close, 10))
        good = carry(bars.close)[-1] > carry(bars.close)[0]
        qty = np.broadcast_to(np.where(good, 20.0, 10.0), bars.close.shape)
        return self.emit(bars, enter, 1, stop_percent=5.0, qty=qty)


class TaggedByTheOutcome(Leak):
    """Only the tag knows the future: enough to make results by tag worthless."""

    def signals(self, bars: Bars) -> Signals:
        enter = crossed_above(carry(bars.close), sma(bars.close, 10)) & ~np.isnan(bars.close)
        rows, columns = np.nonzero(enter)
        end = carry(bars.close)[-1]
        tags = [
            "winner" if end[c] > bars.close[r, c] else "loser" for r, c in zip(rows, columns, strict=True)
        ]
        return Signals.from_arrays(bars, rows, columns, 1, stop_percent=5.0, tag=tags)


class OneUlp(Leak):
    """A difference in the last bit: the average is summed over an array whose length decides the order."""

    def signals(self, bars: Bars) -> Signals:
        enter = crossed_above(carry(bars.close), sma(bars.close, 10))
        stop = bars.low * (0.95 + np.spacing(0.95) * (len(bars) % 2))
        return self.emit(bars, enter, 1, stop=stop)


LEAKS: list[type[Leak]] = [
    SingleBarShift,
    CentredWindow,
    FullSampleScaling,
    FutureFilledGap,
    UnfinishedWeek,
    PeekAtTheHighest,
    LastDate,
    FullSampleRank,
    WrapAround,
    Interpolated,
    SmoothedBothWays,
    FutureStop,
    SizedByTheOutcome,
    TaggedByTheOutcome,
    OneUlp,
]


@pytest.mark.parametrize("leak", LEAKS)
def test_planted_leak_is_caught(leak: type[Leak], make_market: MakeMarket) -> None:
    report = lookahead(leak(), make_market(200, 2, seed=3, missing=0.05))
    assert not report.passed
    assert report.finding is not None
    assert report.finding.kind in ("changed", "vanished", "appeared", "value")
    assert report.finding.row < report.finding.known < report.finding.added
    assert "looks ahead" in report.summary()


def test_a_leak_of_one_single_bar_is_caught(market: Bars) -> None:
    """The rule is broken for one signal in the whole history, by one bar."""

    rising = np.diff(market.close[:, 0]) > 0
    place = 150 + int(np.argmax(rising[150:]))

    class Once(Strategy):
        def signals(self, bars: Bars) -> Signals:
            enter = crossed_above(carry(bars.close), sma(bars.close, 20))
            enter[place : place + 1] = (
                len(bars) > place + 1 and bars.close[place + 1, 0] > bars.close[place, 0]
            )
            return self.emit(bars, enter, 1, stop_percent=5.0)

    report = lookahead(Once(), market)
    assert report.finding is not None
    assert report.finding.row == place
    assert (report.finding.known, report.finding.added) == (place + 1, place + 2)
    assert report.finding.kind == "appeared"


def finding(report: LookaheadReport) -> str:
    assert report.finding is not None
    return report.finding.kind


def test_the_report_names_bar_symbol_and_field(market: Bars) -> None:
    report = lookahead(FutureStop(), market)
    assert report.finding is not None
    assert report.finding.field == "stop"
    assert report.finding.symbol in market.symbols
    assert report.finding.time == str(np.datetime64(int(market.session[report.finding.row]), "D"))
    assert "stop was" in report.summary()
    tags = lookahead(TaggedByTheOutcome(), market).finding
    assert tags is not None
    assert (tags.field, {tags.before, tags.after}) == ("tag", {"'winner'", "'loser'"})
    assert json.loads(json.dumps(report.to_dict()))["passed"] is False


def test_a_leak_in_a_series_is_caught_even_if_no_signal_shows_it(market: Bars) -> None:
    class Quiet(Strategy):
        def values(self, bars: Bars) -> dict[str, npt.NDArray[np.float64]]:
            return {"clean": carry(bars.close), "scaled": carry(bars.close) / np.nanmax(bars.close)}

        def signals(self, bars: Bars) -> Signals:
            return self.emit(bars, bars.close > 1e9, 1, stop_percent=5.0)

    report = lookahead(Quiet(), market)
    assert finding(report) == "value"
    assert report.finding is not None
    assert report.finding.field == "scaled"


def test_a_strategy_that_cannot_be_repeated_is_caught(market: Bars) -> None:
    calls = [0]

    class Moody(Strategy):
        def signals(self, bars: Bars) -> Signals:
            calls[0] += 1
            last = np.zeros(len(bars), bool)
            last[-1] = calls[0] > len(market)
            return self.emit(bars, last, 1, stop_percent=5.0)

    assert finding(lookahead(Moody(), market)) == "not_repeatable"


def test_a_strategy_that_writes_into_its_bars_is_caught(make_market: MakeMarket) -> None:
    bars = make_market(60, 2)

    class Vandal(Strategy):
        def signals(self, bars: Bars) -> Signals:
            if len(bars) == 60:
                bars.close[5, 1] = 1.0
            return Signals.empty(bars)

    report = lookahead(Vandal(), bars)
    assert finding(report) == "bars_changed"
    assert "SYN1" in report.summary()


def test_an_exception_is_a_finding_with_its_words(market: Bars) -> None:
    class Fragile(Strategy):
        def signals(self, bars: Bars) -> Signals:
            return self.emit(bars, bars.close[20] > 0, 1, stop_percent=5.0)

    report = lookahead(Fragile(), market)
    assert finding(report) == "raised"
    assert "IndexError" in report.summary()
    assert "first 1 bars" in report.summary()


def test_every_and_progress(market: Bars) -> None:
    seen: list[tuple[int, int]] = []
    report = lookahead(strategy_class("sma-cross")(), market, every=150, progress=lambda *at: seen.append(at))
    assert report.passed
    assert report.prefixes == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert "150th bar" in report.summary()


def test_no_signals_is_said_to_prove_little(make_market: MakeMarket) -> None:
    report = lookahead(strategy_class("pattern-scan")(), make_market(30, 1))
    assert report.passed
    assert "proves little" in report.summary()


def test_senseless_requests_are_refused(market: Bars) -> None:
    strategy = strategy_class("sma-cross")()
    with pytest.raises(StrategyError) as caught:
        lookahead(strategy, market, every=0)
    assert caught.value.code == "STRATEGY_LOOKAHEAD_EVERY"
    with pytest.raises(StrategyError) as caught:
        lookahead(strategy, market[:0])
    assert caught.value.code == "STRATEGY_NO_BARS"
    with pytest.raises(StrategyError) as caught:
        lookahead(object(), market)  # type: ignore[arg-type]
    assert caught.value.code == "STRATEGY_ON_BAR"


def test_warmup_report_measures_what_history_changes(make_market: MakeMarket) -> None:
    bars = make_market(500, 2, missing=0.0)
    report = warmup_report(strategy_class("atr-channel")(length=20, atr_length=14), bars)
    changes = [row.worst for row in report.rows]
    assert [row.history for row in report.rows] == [61, 92, 122, 183, 305]
    assert changes == sorted(changes, reverse=True)
    assert 0 < changes[0] < 0.01
    assert report.settled() in {row.history for row in report.rows}
    assert report.settled(tolerance=0.0) is None
    assert "largest change" in report.summary()
    assert json.loads(json.dumps(report.to_dict()))["warmup"] == 61


def test_windowed_strategy_needs_no_more_than_its_warmup(make_market: MakeMarket) -> None:
    class Windowed(Strategy):
        @property
        def warmup(self) -> int:
            return 30

        def values(self, bars: Bars) -> dict[str, npt.NDArray[np.float64]]:
            return {"average": sma(bars.close, 30)}

        def signals(self, bars: Bars) -> Signals:
            return self.emit(
                bars, crossed_above(bars.close, self.values(bars)["average"]), 1, stop_percent=5.0
            )

    report = warmup_report(Windowed(), make_market(300, 2, missing=0.0))
    assert report.settled(tolerance=0.0) == 30


def test_warmup_report_needs_enough_bars(market: Bars) -> None:
    with pytest.raises(StrategyError) as caught:
        warmup_report(strategy_class("pattern-scan")(), market[:200])
    assert caught.value.code == "STRATEGY_NO_BARS"


def test_shipped_warmups_are_long_enough(make_market: MakeMarket) -> None:
    """With a history of its warm-up a shipped strategy gives the signals of the whole history."""
    bars = make_market(500, 3, missing=0.0)
    for name in EQUITY:
        report = warmup_report(strategy_class(name)(), bars, window=60, multiples=(1.0, 1.5))
        assert report.rows[0].worst < 0.05, report.summary()
    assert atr(bars.high, bars.low, bars.close).shape == bars.close.shape


@pytest.mark.parametrize(
    ("series", "words"),
    [
        (lambda bars: {"a": bars.close} if len(bars) < 30 else {}, "was present and became absent"),
        (lambda bars: {} if len(bars) < 30 else {"a": bars.close}, "was absent and became present"),
        (
            lambda bars: {"a": bars.close if len(bars) < 30 else bars.close[:, 0]},
            "of shape",
        ),
        (lambda bars: {"a": np.full(len(bars), len(bars) < 30)}, "was True and became False"),
    ],
)
def test_series_that_change_their_form_are_caught(
    series: Callable[[Bars], dict[str, npt.NDArray[np.float64]]], words: str, market: Bars
) -> None:
    class Changing(Strategy):
        def values(self, bars: Bars) -> dict[str, npt.NDArray[np.float64]]:
            return series(bars)

        def signals(self, bars: Bars) -> Signals:
            return Signals.empty(bars)

    report = lookahead(Changing(), market[:60])
    assert finding(report) == "value"
    assert words in report.summary()


def test_a_signal_that_vanishes_is_named(market: Bars) -> None:
    class Forgetful(Strategy):
        def signals(self, bars: Bars) -> Signals:
            last = np.zeros(len(bars), bool)
            last[-1] = True
            return self.emit(bars, last, -1, stop_percent=5.0)

    report = lookahead(Forgetful(), market)
    assert finding(report) == "vanished"
    assert "a signal (short) vanished" in report.summary()


def test_a_signal_that_joins_others_of_its_bar_later_is_named(market: Bars) -> None:
    """The same bar has one signal at first and two afterwards, the new one with the higher priority."""

    class Joining(Strategy):
        def signals(self, bars: Bars) -> Signals:
            rows = [50] * (len(bars) > 50) + [50] * (len(bars) > 60)
            columns = [1, 2][: len(rows)]
            return Signals.from_arrays(
                bars, rows, columns, 1, stop_percent=5.0, priority=[1.0, 2.0][: len(rows)]
            )

    report = lookahead(Joining(), market)
    assert report.finding is not None
    assert (report.finding.kind, report.finding.symbol, report.finding.row) == ("appeared", "SYN2", 50)


def test_any_object_with_signals_can_be_proved(market: Bars) -> None:
    class Slotted:
        __slots__ = ()
        name = "slotted"
        warmup = 0

        def values(self, bars: Bars) -> dict[str, npt.NDArray[np.float64]]:
            return {"average": sma(bars.close, 5)}

        def signals(self, bars: Bars) -> Signals:
            rows = np.flatnonzero(bars.close[:, 0] > self.values(bars)["average"][:, 0])
            return Signals.from_arrays(bars, rows, 0, 1, stop_percent=5.0)

    assert lookahead(Slotted(), market).passed


def test_signals_built_from_a_table_can_be_proved(market: Bars) -> None:
    class Tabular(Strategy):
        def signals(self, bars: Bars) -> Signals:
            rows = np.flatnonzero(crossed_above(carry(bars.close[:, 0]), sma(bars.close[:, 0], 10)))
            rows = rows[~np.isnan(bars.close[rows, 0])]
            frame = pd.DataFrame({"time": bars.index[rows], "symbol": bars.symbols[0], "side": 1})
            frame["stop_percent"] = 5.0
            return Signals.from_frame(frame)

    report = lookahead(Tabular(), market[:120])
    assert report.passed, report.summary()
    assert report.signals > 0
