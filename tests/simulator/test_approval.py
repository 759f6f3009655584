"""A person between signal and account: when an answer counts, what ends a request; nothing is luck."""

from __future__ import annotations

import dataclasses
import itertools
from datetime import time, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator import Bars, Signals, backtest, backtest_stream, load_bars, sweep
from simulator.approval import DECISIONS, Approval, Delay, WorkingHours
from simulator.approval_study import approval_study
from simulator.engine import Run
from simulator.errors import ConfigError, StrategyError
from simulator.options.market import OptionMarket
from simulator.options.packages import make_legs, make_rules, package_signals
from strategies.lookahead import lookahead
from tests.simulator.kernel.generate import Configuration, configurations

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def few(count: int) -> settings:
    return settings(
        max_examples=count, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def hourly(days: int = 6) -> Bars:
    """Six bars of one hour a day around the clock's noon in New York, and one symbol that has a hole."""
    ts = np.concatenate(
        [
            np.datetime64("2024-03-04T14:30", "ns").astype(np.int64) + (24 * day + hour) * 3_600_000_000_000
            for day in range(days)
            for hour in [np.arange(6)]
        ]
    )
    close = 100.0 + np.arange(len(ts))
    panel = np.stack([close, close + 0.5, close - 0.5, close, np.full(len(ts), 1e6)], axis=-1)
    both = np.stack([panel, panel], axis=1)
    both[9:12, 1] = np.nan
    return Bars.from_arrays(["UP", "HOLE"], ts, both, daily=False, calendar="24/7")


def one(bars: Bars, row: int, symbol: str = "UP", **columns: Any) -> Signals:
    return Signals.from_arrays(bars, [row], symbol, 1, **{"stop_percent": 5.0, "qty": 1.0, **columns})


def decided(approval: Approval, signals: Signals, bars: Bars) -> tuple[str, int]:
    reviewed = approval.review(signals, bars)
    return DECISIONS[reviewed.decision[0]], int(reviewed.reached[0])


# When an answer counts


@pytest.mark.parametrize(
    ("delay", "row"),
    [
        (timedelta(0), 3),
        (timedelta(minutes=1), 4),
        (HOUR, 4),
        (HOUR + timedelta(minutes=1), 5),
        # the clock stands still overnight: three hours from the fourth bar's close end in the next day
        (3 * HOUR, 6),
        (8 * HOUR, 11),
    ],
)
def test_an_answer_counts_at_the_first_bar_that_is_complete_after_it(delay: timedelta, row: int) -> None:
    bars = hourly()
    assert decided(Approval(delay=delay), one(bars, 3), bars) == ("approved", row)


def test_a_day_is_a_session_of_the_calendar() -> None:
    bars = load_bars("synthetic:1x30?seed=1")  # New York, daily
    assert decided(Approval(delay=DAY), one(bars, 3, 0), bars) == ("approved", 4)  # type: ignore[arg-type]
    late = Approval(delay=timedelta(hours=6, minutes=31))  # a session has six and a half hours
    assert decided(late, one(bars, 3, 0), bars) == ("approved", 5)  # type: ignore[arg-type]


def test_working_hours_run_when_the_market_does_not() -> None:
    bars = load_bars("synthetic:1x30?seed=1")
    weekday = bars.index.day_of_week
    friday = next(k for k in range(3, 28) if weekday[k] == 4 and bars.session[k + 1] == bars.session[k] + 3)
    office = WorkingHours(time(9), time(17), "America/New_York")
    # asked at 16:00 on Friday: one hour is left, the second begins on Monday at nine
    signals = one(bars, friday, 0)  # type: ignore[arg-type]
    assert decided(Approval(delay=2 * HOUR, hours=office), signals, bars) == ("approved", friday + 1)
    nine_hours = Approval(delay=timedelta(hours=8, minutes=30), hours=office)  # Monday 16:30, after the close
    assert decided(nine_hours, signals, bars) == ("approved", friday + 2)
    assert decided(Approval(delay=DAY, hours=office), signals, bars) == ("approved", friday + 1)


def test_the_orders_prices_stay_and_its_atr_is_that_of_its_own_bar() -> None:
    bars = load_bars("synthetic:1x60?seed=3")
    signals = Signals.from_arrays(bars, [30], 0, 1, stop_atr=2.0, target=1e6, qty=1.0)
    moved = Approval(delay=DAY * 3).review(signals, bars).signals.records[0]
    run = backtest(bars, signals, risk=None)
    assert moved["row"] == 33
    assert moved["ts"] == bars.ts[33]
    assert moved["target"] == 1e6
    original = run.raw.signals.aligned(bars)[0]
    assert np.isnan(original["atr"])
    assert moved["atr"] > 0
    now = Signals.from_arrays(bars, [33], 0, 1, stop_atr=2.0, qty=1.0)
    other = Approval().review(now, bars).signals.records[0]
    assert moved["atr"] != other["atr"]


def test_a_stop_that_was_passed_meanwhile_is_refused_by_the_risk_manager() -> None:
    bars = hourly()
    falls = bars.replaced(panel=np.where(np.arange(36)[:, None, None] > 4, bars.panel * 0.5, bars.panel))
    result = backtest(
        falls, one(falls, 3, stop_percent=np.nan, stop=100.0), approval=Approval(delay=3 * HOUR)
    )
    assert result.verdicts["reason"].tolist() == ["invalid_stop"]


# What ends a request


def test_what_waits_too_long_expires() -> None:
    bars = hourly()
    signals = one(bars, 3)
    assert decided(Approval(delay=2 * HOUR, expiry=2 * HOUR), signals, bars) == ("expired", 5)
    later = Approval(delay=2 * HOUR, expiry=2 * HOUR + timedelta(seconds=1))
    assert decided(later, signals, bars) == ("approved", 5)
    never = Approval(delay=Delay.empirical([HOUR], never=1.0), expiry=3 * HOUR)
    assert decided(never, signals, bars) == ("expired", 6)
    assert decided(Approval(delay=Delay.empirical([HOUR], never=1.0)), signals, bars) == ("waiting", -1)


def test_a_price_that_moved_too_far_refuses() -> None:
    bars = hourly()  # 103 at the signal, 105 at the answer: 1.94 %
    signals = one(bars, 3)
    assert decided(Approval(delay=2 * HOUR, price_drift_pct=1.9), signals, bars) == ("drifted", 5)
    assert decided(Approval(delay=2 * HOUR, price_drift_pct=1.95), signals, bars) == ("approved", 5)
    reviewed = Approval(delay=2 * HOUR).review(signals, bars)
    assert reviewed.drift[0] == pytest.approx((105 / 103 - 1) * 100)


def test_without_a_price_a_request_goes_on_waiting() -> None:
    bars = hourly()
    signals = one(bars, 8, "HOLE")
    assert decided(Approval(delay=HOUR), signals, bars) == ("approved", 12)
    assert decided(Approval(delay=HOUR, expiry=3 * HOUR), signals, bars) == ("expired", 11)


def test_a_closing_signal_withdraws_what_waits_and_is_not_asked_itself() -> None:
    bars = hourly()
    signals = Signals.from_arrays(
        bars, [3, 5, 8], "UP", [1, 0, 1], stop_percent=[5.0, np.nan, 5.0], qty=[1.0, np.nan, 1.0]
    )
    reviewed = Approval(delay=3 * HOUR).review(signals, bars)
    assert [DECISIONS[code] for code in reviewed.decision] == ["withdrawn", "unasked", "approved"]
    assert reviewed.reached.tolist() == [5, 5, 11]
    assert reviewed.signals.records["side"].tolist() == [0, 1]
    assert reviewed.counts == {"approved": 1, "withdrawn": 1}
    at_once = Approval().review(signals, bars)
    assert at_once.counts == {"approved": 2}


def test_an_order_or_an_option_that_has_run_out_meanwhile_expires() -> None:
    bars = hourly()
    until = int(bars.ts[4])
    for valid, decision in ((until, "expired"), (int(bars.ts[5]), "approved")):
        signals = one(bars, 3, tif="GTD", valid_until=valid)
        assert decided(Approval(delay=2 * HOUR), signals, bars) == (decision, 5)
    daily = load_bars("synthetic:1x60?seed=1")
    strike = float(daily.close[10, 0])
    legs = make_legs([[(-1, "put", strike)]], expiry=int(daily.session[13]))
    package = package_signals(daily, [10], 0, -1, legs, make_rules(1), qty=1.0)
    quoted = daily.with_options(OptionMarket.modelled(daily, {daily.symbols[0]: np.full(60, 0.2)}))
    assert decided(Approval(delay=2 * DAY), package, quoted) == ("approved", 12)
    assert decided(Approval(delay=3 * DAY), package, quoted) == ("expired", 13)
    moved = Approval(delay=2 * DAY).review(package, quoted).signals
    assert (moved.records["package"].tolist(), len(moved.packages)) == ([1], 1)


def test_vetoes_come_as_often_as_they_say() -> None:
    bars = load_bars("synthetic:3x900?seed=2")
    rows = np.repeat(np.arange(880), 3)
    signals = Signals.from_arrays(bars, rows, np.tile([0, 1, 2], 880), 1, stop_percent=5.0)
    reviewed = Approval(veto=0.2, delay=Delay.exponential(2 * HOUR)).review(signals, bars)
    share = reviewed.counts["vetoed"] / len(rows)
    assert abs(share - 0.2) < 4 * (0.16 / len(rows)) ** 0.5
    hours = reviewed.delay / 3_600.0
    assert abs(hours.mean() - 2.0) < 4 * 2.0 / len(rows) ** 0.5
    assert abs(np.quantile(hours, 0.5) - 2.0 * np.log(2)) < 0.15
    # whether somebody says no has nothing to do with how long they took
    vetoed = reviewed.decision == DECISIONS.index("vetoed")
    assert abs(hours[vetoed].mean() - 2.0) < 4 * 2.0 / vetoed.sum() ** 0.5
    mixed = Approval(delay=Delay.empirical([HOUR, 4 * HOUR, 4 * HOUR], never=0.1)).review(signals, bars)
    known = np.isfinite(mixed.delay)
    assert abs((~known).mean() - 0.1) < 0.03
    assert abs((mixed.delay[known] == 3_600.0).mean() - 1 / 3) < 0.04


# Nothing is luck


def persons() -> st.SearchStrategy[Approval]:
    lengths = st.sampled_from([timedelta(0), HOUR, 5 * HOUR, DAY, 3 * DAY])
    return st.builds(
        Approval,
        delay=st.builds(Delay, st.sampled_from(["fixed", "exponential"]), st.tuples(lengths)),
        expiry=st.sampled_from([None, HOUR, DAY, 2 * DAY]),
        veto=st.sampled_from([0.0, 0.3]),
        price_drift_pct=st.sampled_from([None, 1.0]),
        seed=st.integers(0, 5),
        hours=st.sampled_from([None, WorkingHours(time(9), time(12))]),
    )


@few(40)
@given(configurations(), persons(), st.floats(0.1, 0.95))
def test_more_bars_change_nothing_that_was_decided(c: Configuration, person: Approval, share: float) -> None:
    cut = max(1, int(len(c.bars) * share))
    records = c.signals.records
    mine = np.isin(records["ts"], c.bars.ts[:cut])
    early = Signals(
        records[mine], c.signals.symbols, tags=c.signals.tags, strategies=c.signals.strategies,
        sectors=c.signals.sectors,
    )  # fmt: skip
    _ = c.bars.close_ts  # an intraday bar's close is known before anything is cut
    whole, part = person.review(c.signals, c.bars), person.review(early, c.bars[:cut])
    expected = whole.signals.records[whole.signals.records["row"] < cut]
    assert part.signals.records.tobytes() == expected.tobytes()


@few(20)
@given(configurations(), st.integers(0, 3))
def test_no_person_in_the_loop_is_full_automation(c: Configuration, seed: int) -> None:
    auto = backtest(c.bars, c.signals, commands=c.commands, **c.rules)
    same = backtest(c.bars, c.signals, commands=c.commands, approval=Approval(seed=seed), **c.rules)
    assert same.raw.trades.tobytes() == auto.raw.trades.tobytes()
    assert same.raw.verdicts.tobytes() == auto.raw.verdicts.tobytes()
    assert same.reviewed is not None
    assert auto.reviewed is None


@few(8)
@given(configurations(), persons())
def test_every_driver_agrees(c: Configuration, person: Approval) -> None:
    _ = c.bars.close_ts
    reviewed = person.applied_to(c.signals)
    one_go = backtest(c.bars, c.signals, approval=person, **c.rules)
    chunked = backtest(c.bars, c.signals, approval=person, chunk=7, **c.rules)
    assert chunked.fingerprint == one_go.fingerprint
    wrapped = backtest(c.bars, reviewed, **c.rules)
    assert wrapped.raw.trades.tobytes() == one_go.raw.trades.tobytes()
    lanes = sweep(c.bars, [reviewed.signals(c.bars)], **c.rules)
    assert lanes["trades"][0] == one_go.metrics["trades"]
    if not c.bars.detail:
        signals = reviewed.signals(c.bars)
        parts = [c.bars[first:last] for first, last in itertools.pairwise(c.cuts)]
        stream = backtest_stream(((part, at(signals, part)) for part in parts), **c.rules)
        assert stream.fingerprint == run_fingerprint(c, signals)


def run_fingerprint(c: Configuration, signals: Signals) -> str:
    run = Run(c.bars, signals, **c.rules)
    run.advance()
    return run.fingerprint()


def at(signals: Signals, bars: Bars) -> Signals:
    mine = np.isin(signals.records["ts"], bars.ts)
    return Signals(
        signals.records[mine], signals.symbols, tags=signals.tags, strategies=signals.strategies,
        sectors=signals.sectors,
    )  # fmt: skip


def test_a_decision_depends_on_the_signal_and_not_on_others() -> None:
    bars = load_bars("synthetic:2x300?seed=2")
    rows = np.arange(10, 290, 2)
    person = Approval(delay=Delay.exponential(3 * HOUR), veto=0.3, seed=4)
    first = Signals.from_arrays(bars, rows, 0, 1, stop_percent=5.0)
    second = Signals.from_arrays(bars, rows, 1, 1, stop_percent=5.0)
    alone = person.review(first, bars)
    both = person.review(Signals.concat([second, first]), bars)
    mine = both.asked["sym"] == 0
    assert both.decision[mine].tolist() == alone.decision.tolist()
    assert both.delay[mine].tolist() == alone.delay.tolist()
    other_seed = person.with_seed(5).review(first, bars)
    assert other_seed.decision.tolist() != alone.decision.tolist()
    twice = person.review(Signals.concat([first, first]), bars)
    assert (twice.delay[::2] != twice.delay[1::2]).all()  # two that are alike are two


def test_a_reviewed_strategy_keeps_the_prefix_rule() -> None:
    from strategies import load_strategy

    person = Approval(delay=Delay.exponential(HOUR * 8), veto=0.2, expiry=2 * DAY)
    bars = load_bars("synthetic:2x260?seed=5")
    proof = lookahead(person.applied_to(load_strategy("sma-cross")), bars, every=10)
    assert proof.passed


# What waiting costs


def test_a_study_is_many_backtests() -> None:
    bars = load_bars("synthetic:2x400?seed=8")
    signals = Signals.from_arrays(bars, np.arange(20, 380, 4), 0, 1, stop_percent=4.0, max_bars=6)
    person = Approval(delay=Delay.exponential(5 * HOUR), veto=0.25, seed=3)
    study = approval_study(bars, signals, person, seeds=6)
    assert study.frame["seed"].tolist() == [3, 4, 5, 6, 7, 8]
    for seed, row in zip(study.frame["seed"], study.frame.to_dict("records"), strict=True):
        result = backtest(bars, signals, approval=person.with_seed(seed))
        assert row["final_equity"] == result.metrics["final_equity"]
        assert result.reviewed is not None
        assert row["vetoed"] == result.reviewed.counts["vetoed"]
    auto = backtest(bars, signals).metrics
    assert study.auto["total_return"] == auto["total_return"]
    waiting = backtest(bars, signals, approval=dataclasses.replace(person, veto=0.0))
    assert study.waiting["final_equity"][0] == waiting.metrics["final_equity"]
    costs = study.summary().loc["total_return"]
    mean = study.frame["total_return"].mean()
    assert costs["waiting_cost"] + costs["veto_cost"] == pytest.approx(auto["total_return"] - mean)
    assert "full auto" in str(study)
    assert study.plain()["seeds"] == 6
    assert approval_study(bars, signals, person, seeds=[7]).frame["seed"].tolist() == [7]


# What cannot be


def test_what_is_written_is_read() -> None:
    person = Approval.parse(
        "delay=exp:90m,expiry=1d,veto=0.1,drift=1.5,seed=7,hours=09:00-17:30@Europe/Berlin"
    )
    assert person == Approval(
        delay=Delay.exponential(timedelta(minutes=90)), expiry=DAY, veto=0.1, price_drift_pct=1.5, seed=7,
        hours=WorkingHours(time(9), time(17, 30), "Europe/Berlin"),
    )  # fmt: skip
    assert Approval.parse("delay=2h").delay == Delay("fixed", (2 * HOUR,))
    assert "veto 10%" in str(person)


@pytest.mark.parametrize(
    "text",
    ["", "delay", "dela=2h", "delay=2", "delay=x:2h", "veto=2", "veto=often", "hours=9-17", "drift=0",
     "expiry=0", "hours=09:00-17:00@Nowhere/At", "hours=17:00-09:00"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Approval.parse(text)
    assert caught.value.code == "CONFIG_APPROVAL"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Approval(delay=2.0),  # type: ignore[arg-type]
        lambda: Approval(delay=-HOUR),
        lambda: Approval(veto=-0.1),
        lambda: Approval(veto=True),
        lambda: Approval(seed=1.5),  # type: ignore[arg-type]
        lambda: Approval(price_drift_pct=-1.0),
        lambda: Delay("fixed", (HOUR, HOUR)),
        lambda: Delay("normal", (HOUR,)),
        lambda: Delay.empirical([]),
        lambda: Delay.empirical([HOUR], never=1.5),
        lambda: WorkingHours(time(9), time(17), days=()),
        lambda: WorkingHours(time(9), time(17), days=(7,)),
        lambda: approval_study(hourly(), one(hourly(), 1), Approval(), seeds=0),
    ],
)
def test_what_cannot_be_so_is_refused(make: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.code == "CONFIG_APPROVAL"


def test_a_strategy_that_is_called_bar_by_bar_is_refused() -> None:
    class OnBar:
        name, warmup = "hand", 0

        def on_bar(self, context: Any) -> None:
            raise AssertionError("never asked")

    for call in (
        lambda: backtest(hourly(), OnBar(), approval=Approval()),
        lambda: Approval().applied_to(OnBar()),
        lambda: approval_study(hourly(), OnBar(), Approval()),
    ):
        with pytest.raises(StrategyError) as caught:
            call()
        assert caught.value.code == "STRATEGY_APPROVAL"


def test_nothing_to_review() -> None:
    bars = hourly()
    for empty in (bars, bars[:0]):
        reviewed = Approval(veto=0.5, delay=DAY).review(Signals.empty(empty), empty)
        assert not reviewed.counts
        assert not len(reviewed.frame)
        assert not len(reviewed.signals)
