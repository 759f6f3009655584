"""Every premium strategy: its legs on one day, its entries, its exits under risk limits, the prefix rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from simulator import Bars, Costs, RiskLimits, backtest, sweep
from simulator.errors import StrategyError
from simulator.kernel.dtypes import QUOTE
from simulator.options.iv_rank import iv_rank
from simulator.options.market import OptionMarket
from simulator.options.modelled import modelled_chain
from simulator.results import Result
from simulator.signals import Signals
from strategies.earnings import near_earnings
from strategies.lookahead import lookahead, warmup_report
from strategies.premium import PremiumStrategy, ShortPutSpread
from strategies.registry import PREMIUM, strategy_class

MakeOptions = Callable[..., Bars]
WINDOW = 40
LIMITS = RiskLimits(
    risk_per_trade_pct=20.0, max_portfolio_heat_pct=60.0, max_sector_exposure_pct=400.0,
    max_days_in_trade=None, daily_loss_limit=20.0, max_positions_per_symbol=2, max_correlation=None,
)  # fmt: skip
AT_MID = Costs(
    spread_share_1_leg=0.0, spread_share_2_legs=0.0, spread_share_3_legs=0.0, spread_share_4_legs=0.0
)
DAY_ROW = 60


def make(name: str, **changes: Any) -> PremiumStrategy:
    strategy = strategy_class(name)(**{"rank_window": WINDOW, **changes})
    assert isinstance(strategy, PremiumStrategy)
    return strategy


@pytest.fixture(scope="module")
def bars(make_options: MakeOptions) -> Bars:
    return make_options(420, 2, gaps=0.01)


@pytest.fixture(scope="module")
def plain(make_options: MakeOptions) -> Bars:
    """A flat surface at 20 % on a spot of 100: strikes follow from a formula."""
    bars = make_options(90)
    panel = np.full_like(bars.panel, 100.0)
    bars = bars.replaced(panel=panel)
    level = np.full(len(bars), 0.2)
    level[: DAY_ROW - 5] = 0.19  # so that the volatility has a range, and a rank
    return bars.with_options(OptionMarket.modelled(bars, {"U0": level}, surface="flat"))


def legs_on(signals: Signals, row: int) -> list[list[tuple[int, int, float, int]]]:
    """Side, right, strike and expiry of every leg of the packages on one bar."""
    found = []
    for record in signals.records[signals.records["row"] == row]:
        package = signals.legs[record["package"] - 1]
        found.append(
            [
                (int(leg["side"]), int(leg["right"]), float(leg["strike"]), int(leg["expiry"]))
                for leg in package
                if leg["ratio"]
            ]
        )
    return found


def strike_of(right: int, delta: float, days: int) -> float:
    """The strike on a spot of 100 at 20 %, without interest, on a grid of 2.50."""
    total = 0.2 * math.sqrt(days / 365)
    d1 = NormalDist().inv_cdf(delta) * right
    return 2.5 * round(100.0 * math.exp(0.5 * total * total - d1 * total) / 2.5)


def test_every_strategy_has_the_right_legs_on_one_worked_day(plain: Bars) -> None:
    # 2015-03-31: the third Fridays are April 17, May 15 and June 19, 17, 45 and 80 days away
    day = int(plain.session[DAY_ROW])
    assert np.datetime64(day, "D") == np.datetime64("2015-03-31")
    near, may, june = day + 17, day + 45, day + 80
    put30, call30 = strike_of(-1, 0.30, 45), strike_of(1, 0.30, 45)
    put20, call20 = strike_of(-1, 0.20, 45), strike_of(1, 0.20, 45)
    put16, call16 = strike_of(-1, 0.16, 45), strike_of(1, 0.16, 45)
    assert (put30, call30) == (97.5, 105.0)
    put, call, shares = -1, 1, 0
    wanted = {
        "cash-secured-put": [[(-1, put, put30, may)]],
        "covered-call": [[(1, shares, math.nan, 0), (-1, call, call30, may)]],
        "wheel": [[(-1, call, call30, may)], [(-1, put, put30, may)]],
        "short-put-spread": [[(-1, put, put30, may), (1, put, put30 - 5, may)]],
        "short-call-spread": [[(-1, call, call30, may), (1, call, call30 + 5, may)]],
        "iron-condor": [
            [
                *[(-1, put, put20, may), (1, put, put20 - 5, may)],
                *[(-1, call, call20, may), (1, call, call20 + 5, may)],
            ]
        ],
        "short-strangle": [[(-1, put, put16, may), (-1, call, call16, may)]],
        "short-straddle": [[(-1, put, 100.0, may), (-1, call, 100.0, may)]],
        "jade-lizard": [[(-1, put, put30, may), (-1, call, call30, may), (1, call, call30 + 2.5, may)]],
        "calendar": [[(-1, put, 100.0, near), (1, put, 100.0, june)]],
    }  # fmt: skip
    assert set(wanted) == set(PREMIUM)
    for name, packages in wanted.items():
        extra = {"width": 5.0} if name in ("short-put-spread", "short-call-spread", "iron-condor") else {}
        if name == "jade-lizard":
            extra = {"min_credit_pct": 80.0}  # 2.50 wide; a flat surface pays about 2.20
        signals = make(name, **extra).signals(plain)
        got = legs_on(signals, DAY_ROW)
        assert np.array_equal(
            np.array([leg for package in got for leg in package]),
            np.array([leg for package in packages for leg in package]),
            equal_nan=True,
        ), name
        assert [len(package) for package in got] == [len(package) for package in packages]
        bought = name in ("covered-call", "calendar")
        assert set(signals.records["side"]) == {1 if bought else -1}


def test_rules_follow_the_parameters(plain: Bars) -> None:
    given = {"profit_target_pct": 40.0, "stop_multiple": 3.0, "exit_dte": 14, "min_credit_pct": 5.0}
    rules = make("short-put-spread", **given, qty=3).signals(plain)
    package = rules.packages[0]
    assert (package["profit_target"], package["stop_loss"], package["dte_exit"]) == (0.4, 2.0, 14)
    assert (package["min_credit"], package["american"], package["physical"], package["naked"]) == (
        0.05,
        1,
        1,
        0,
    )
    assert (rules.records["qty"] == 3.0).all()
    assert np.isnan(make("short-put-spread").signals(plain).records["qty"]).all()
    assert make("short-put-spread", stop_multiple=0.0).signals(plain).packages["stop_loss"][0] == 0.0
    for name in ("short-strangle", "short-straddle", "jade-lizard"):
        assert make(name).signals(plain).packages["naked"].all()
    wheel = make("wheel", qty=2.0).signals(plain)
    at = wheel.packages[wheel.records["package"] - 1]
    assert at["covered"].tolist()[:2] == [1, 0]  # the call is judged first
    assert (at["hold"] == 1 - at["covered"]).all()
    assert (np.isnan(wheel.records["qty"]) == (at["covered"] == 1)).all()
    calendar = make("calendar", stop_loss_pct=75.0).signals(plain).packages
    assert (calendar["stop_loss"] == 0.75).all()


def test_options_on_an_index_are_european_and_pay_cash(make_options: MakeOptions) -> None:
    packages = make("iron-condor").signals(make_options(90, index=True)).packages
    assert len(packages) > 0
    assert not packages["american"].any()
    assert not packages["physical"].any()


@pytest.mark.parametrize("name", PREMIUM)
def test_all_trade_under_risk_limits_and_leave_for_reasons_of_premium(name: str, bars: Bars) -> None:
    result = backtest(bars, make(name), risk=LIMITS)
    trades = result.trades
    assert len(trades) >= 4
    reasons = set(trades["exit_reason"])
    assert reasons <= {"profit_target", "stop", "dte", "expiry", "assignment", "end_of_data"}
    assert reasons & {"profit_target", "dte", "expiry", "assignment"}
    assert set(trades["tag"]) <= {"rank 0-25", "rank 25-50", "rank 50-75", "rank 75-100"}
    assert set(trades["strategy"]) == {name}
    assert result.equity.min() > 0


def test_managed_trades_keep_to_their_target_stop_and_days(bars: Bars) -> None:
    trades = backtest(bars, make("short-strangle"), risk=LIMITS).trades
    by = trades.groupby("exit_reason")
    kept = 1.0 - by.get_group("profit_target")["exit_price"] / by.get_group("profit_target")["entry_price"]
    assert (kept >= 0.5 - 1e-9).all()
    stopped = by.get_group("stop")
    assert (stopped["exit_price"] >= 2.0 * stopped["entry_price"] * 0.99).all()


def test_trades_trail_leave_at_a_delta_and_roll_where_that_is_asked(bars: Bars) -> None:
    given = {"trail_start_pct": 20.0, "trail_back_pct": 10.0, "delta_exit": 0.45, "roll": True}
    strategy = make("short-strangle", profit_target_pct=0.0, stop_multiple=0.0, exit_dte=25, **given)
    package = strategy.signals(bars).packages[0]
    found = package["trail_start"], package["trail_back"], package["delta_exit"], package["roll"]
    assert found == (0.2, 0.1, 0.45, 1)
    trades = backtest(bars, strategy, risk=LIMITS, costs=AT_MID).trades
    assert {"trail", "delta", "roll"} <= set(trades["exit_reason"])
    assert "dte" not in set(trades["exit_reason"]), "at the same days it is a roll"
    # what was trailed had made a fifth of the credit and kept less than its best
    trailed = trades[trades["exit_reason"] == "trail"]
    assert (trailed["mfe"] >= 0.2).all()
    kept = 1.0 - trailed["exit_price"] / trailed["entry_price"]
    assert (kept <= trailed["mfe"] - 0.1 + 1e-9).all()
    # as by default none of them is on
    assert set(backtest(bars, make("short-strangle"), risk=LIMITS).trades["exit_reason"]).isdisjoint(
        {"trail", "delta", "roll"}
    )


def test_the_wheel_sells_calls_on_the_shares_that_it_was_assigned(bars: Bars) -> None:
    result = backtest(bars, make("wheel"), risk=LIMITS)
    trades = result.trades
    assert "assignment" in set(trades["exit_reason"])
    assert (result.verdicts["reason"] == "not_covered").any()
    # shares bought at a put's strike and called away at a call's: a stock trade that ended by assignment
    called = trades[(trades["side"] == 1) & (trades["exit_reason"] == "assignment")]
    assert len(called) > 0
    assert (called["qty"] % 100 == 0).all()


def test_the_wheel_sells_no_put_on_a_day_without_a_call(bars: Bars) -> None:
    strategy = make("wheel", min_delta=0.28, max_delta=0.32)
    series = strategy.values(bars)
    lone = (series["expiry_1_0"] > 0) & ~(series["expiry_0_0"] > 0)
    assert lone.any()
    signals = strategy.signals(bars)
    rows, columns = signals.records["row"], signals.records["sym"]
    assert not lone[rows, columns].any()
    covered = signals.packages[signals.records["package"] - 1]["covered"] == 1
    assert set(rows[~covered]) <= set(rows[covered])


def test_only_known_ranks_at_or_above_the_least_enter(bars: Bars) -> None:
    assert bars.options is not None
    for least in (0.0, 40.0, 80.0):
        signals = make("short-put-spread", min_iv_rank=least, min_credit_pct=0.0).signals(bars)
        assert len(signals) > 0
        entered = np.zeros((len(bars), 2), bool)
        entered[signals.records["row"], signals.records["sym"]] = True
        for column in range(2):
            # by hand: the place of today's volatility among the last 40 known ones
            level = bars.options.volatility[:, column]
            known = np.flatnonzero(np.isfinite(level))
            for row in range(len(bars)):
                past = level[known[known <= row]][-WINDOW:]
                today = np.isfinite(level[row]) and past.size == WINDOW
                rank = 100 * (level[row] - past.min()) / (past.max() - past.min()) if today else math.nan
                if not rank >= least:
                    assert not entered[row, column]


def test_no_candidate_without_a_rank(bars: Bars) -> None:
    for name in PREMIUM:
        assert len(make(name, rank_window=1000).signals(bars)) == 0
        rows = make(name).signals(bars).records["row"]
        assert rows.min() >= WINDOW - 1
    assert bars.options is not None
    ranks = iv_rank(bars.options.volatility[:, 0], WINDOW)
    signals = make("short-straddle").signals(bars)
    rows = signals.records["row"][signals.records["sym"] == 0]
    assert np.isfinite(ranks[rows]).all()
    tags = np.array(signals.tags)[signals.records["tag"]][signals.records["sym"] == 0]
    assert [int(tag.split()[1].split("-")[0]) for tag in tags] == (ranks[rows] // 25 * 25).clip(
        0, 75
    ).tolist()


def test_a_weekday_is_kept(bars: Bars) -> None:
    rows = make("short-straddle", entry_day="tuesday").signals(bars).records["row"]
    assert set(bars.index[rows].day_name()) == {"Tuesday"}


def test_deltas_and_credit_keep_their_bounds(bars: Bars) -> None:
    strategy = make("iron-condor", min_delta=0.15, max_delta=0.22, min_credit_pct=25.0)
    signals = strategy.signals(bars)
    assert 0 < len(signals) < len(make("iron-condor", min_credit_pct=0.0).signals(bars))
    series = strategy.values(bars)
    rows, columns = signals.records["row"], signals.records["sym"]
    for name in ("delta_0_0", "delta_0_2"):
        deltas = np.abs(series[name][rows, columns])
        assert deltas.min() >= 0.15
        assert deltas.max() <= 0.22
    # at the middle of the quotes, so the entry price without spread is at least a quarter of the width
    fills = backtest(bars, strategy, risk=LIMITS, costs=AT_MID).trades
    legs = {(r["row"], bars.symbols[r["sym"]]): signals.legs[r["package"] - 1] for r in signals.records}
    assert len(fills) > 0
    trade: Any
    for trade in fills.itertuples():
        four = legs[int(np.searchsorted(bars.ts, trade.entry_time.value)), str(trade.symbol)]
        width = max(four["strike"][0] - four["strike"][1], four["strike"][3] - four["strike"][2])
        assert trade.entry_price >= 0.25 * width - 0.02


def condor_quotes(bars: Bars, call_wing: float) -> Bars:
    """One expiry, four strikes a day, a credit of 1.40."""
    expiry = int(bars.session[2]) + 45
    legs = [(-1, 90.0, 0.5, -0.1), (-1, 95.0, 1.2, -0.2), (1, 105.0, 1.2, 0.2), (1, call_wing, 0.5, 0.1)]
    rows = [
        (row, 0, expiry, right, strike, mid - 0.05, mid + 0.05, 0.2, delta)
        for row in range(len(bars))
        for right, strike, mid, delta in legs
    ]
    market = OptionMarket.from_quotes(np.array(rows, QUOTE), np.zeros(len(bars)))
    return bars.with_options(replace(market, volatility=np.linspace(0.2, 0.25, len(bars))[:, None]))


def test_the_wider_spread_of_a_condor_is_its_width(make_options: MakeOptions) -> None:
    bars = make_options(6)
    condor = make("iron-condor", rank_window=2, width=5.0, min_credit_pct=25.0)
    assert condor.signals(condor_quotes(bars, 110.0)).records["row"].tolist() == [1, 2, 3, 4, 5]
    # 1.40 is 28 % of 5.00 and 19 % of 7.50
    assert len(condor.signals(condor_quotes(bars, 112.5))) == 0


def test_a_missing_bar_has_no_candidate_even_where_quotes_are(make_options: MakeOptions) -> None:
    bars = make_options(6)
    panel = bars.panel.copy()
    panel[3] = np.nan
    puts = make("cash-secured-put", rank_window=2, delta=0.20)
    rows = puts.signals(condor_quotes(bars.replaced(panel=panel), 110.0))
    assert rows.records["row"].tolist() == [1, 2, 4, 5]


def test_a_jade_lizard_brings_what_its_call_spread_can_lose(bars: Bars) -> None:
    assert len(make("jade-lizard").signals(bars)) < len(make("jade-lizard", min_credit_pct=0.0).signals(bars))


EARNINGS = ["2015-04-21", "2015-07-21", "2015-10-20", "2016-01-19"]


def test_no_entry_near_earnings(make_options: MakeOptions) -> None:
    actions = [("U0", day, "earnings", 0.0) for day in EARNINGS]
    bars = make_options(300, 2, actions=actions)
    dates = np.array(EARNINGS, "datetime64[D]").astype(np.int64)
    for days in (3, 10):
        signals = make("short-put-spread", earnings_blackout_days=days).signals(bars)
        sessions = bars.session[signals.records["row"][signals.records["sym"] == 0]]
        away = np.abs(sessions[:, None] - dates[None, :])
        # the first date cannot be expected by anyone who has seen none before
        later = sessions > dates[0]
        assert away[later].min() > days
        assert (sessions - dates[0])[(sessions >= dates[0])].min() > days
        free = make("short-put-spread").signals(bars)
        assert (free.records["sym"] == 1).sum() == (signals.records["sym"] == 1).sum()
        assert (free.records["sym"] == 0).sum() > (signals.records["sym"] == 0).sum()
    assert not near_earnings(bars, 1, 10).any()


@pytest.mark.parametrize("name", PREMIUM)
def test_every_strategy_passes_the_look_ahead_proof(name: str, make_options: MakeOptions) -> None:
    actions = [("U0", day, "earnings", 0.0) for day in EARNINGS]
    bars = make_options(130, 2, gaps=0.03, actions=actions)
    changes = {"earnings_blackout_days": 5, "min_iv_rank": 10.0}
    report = lookahead(make(name, rank_window=30, **changes), bars)
    assert report.passed, report.summary()
    assert report.prefixes == len(bars)
    assert report.signals > 20


class LegLeak(ShortPutSpread):
    """Changes one thing about its packages by tomorrow's close, and nothing about its signals."""

    kind = "strike"

    def values(self, bars: Bars) -> dict[str, Any]:
        return {}  # the series behind the signals would show it as well

    def signals(self, bars: Bars) -> Signals:
        made = super().signals(bars)
        legs, packages = made.legs.copy(), made.packages.copy()
        records = made.records
        row, at = records["row"], records["package"] - 1
        last = row == len(bars) - 1
        tomorrow = bars.close[np.minimum(row + 1, len(bars) - 1), records["sym"]]
        rises = ~last & (tomorrow > 1.01 * bars.close[row, records["sym"]])
        if self.kind == "strike":
            legs["strike"][at, 1] += 5.0 * rises
        elif self.kind == "expiry":
            legs["expiry"][at, 1] += 28 * rises
        elif self.kind == "ratio":
            legs["ratio"][at, 1] += rises
        elif self.kind == "side":
            legs["side"][at[rises], 1] *= -1
        else:
            packages["profit_target"][at[rises]] = 0.25
        return Signals(
            made.records, made.symbols, tags=made.tags, strategies=made.strategies, sectors=made.sectors,
            packages=packages, legs=legs,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("strike", "leg 2 strike"), ("expiry", "leg 2 expiry"), ("ratio", "leg 2 ratio"),
        ("side", "leg 2 side"), ("rule", "package profit_target"),
    ],
)  # fmt: skip
def test_a_leak_that_only_changes_a_leg_or_a_rule_is_caught(
    kind: str, field: str, make_options: MakeOptions
) -> None:
    bars = make_options(90)
    leak = LegLeak(rank_window=30)
    leak.kind = kind
    report = lookahead(leak, bars)
    assert not report.passed
    assert report.finding is not None
    assert (report.finding.kind, report.finding.field) == ("changed", field)
    # the finding is of the first bar whose tomorrow was another
    assert report.finding.added == report.finding.row + 2
    honest = make("short-put-spread", rank_window=30)
    assert lookahead(honest, bars).passed


class Renumbered(ShortPutSpread):
    """Stores its packages the other way round: the same trades under other numbers."""

    def signals(self, bars: Bars) -> Signals:
        made = super().signals(bars)
        records = made.records.copy()
        records["package"] = len(made.packages) + 1 - records["package"]
        return Signals(
            records, made.symbols, tags=made.tags, strategies=made.strategies, sectors=made.sectors,
            packages=made.packages[::-1].copy(), legs=made.legs[::-1].copy(),
        )  # fmt: skip


def test_the_number_of_a_package_is_only_where_it_stands(make_options: MakeOptions) -> None:
    report = lookahead(Renumbered(rank_window=30), make_options(60))
    assert report.passed, report.summary()
    assert report.signals > 10


def test_warm_up_counts_signals_whose_legs_change(make_options: MakeOptions) -> None:
    class Parity(ShortPutSpread):
        def signals(self, bars: Bars) -> Signals:
            made = super().signals(bars)
            made.legs["strike"][:, 0] += len(bars) % 2
            return made

    bars = make_options(120)
    assert warmup_report(make("short-put-spread", rank_window=30), bars).rows[-1].signals_changed == 0
    kind = Parity(rank_window=30)
    rows = warmup_report(kind, bars, multiples=(2.0, 3.0)).rows  # 60 and 90 of 100 bars, and 20 more
    assert [row.signals_changed for row in rows] == [0, 0]
    odd = warmup_report(kind, bars[1:], multiples=(2.0, 3.0)).rows
    assert all(row.signals_changed > 0 for row in odd)


@pytest.mark.parametrize("name", PREMIUM)
def test_legs_and_rules_keep_the_prefix_rule_too(name: str, bars: Bars) -> None:
    strategy = make(name)
    whole = strategy.signals(bars)
    for cut in (WINDOW + 1, 150, len(bars) - 1):
        part = strategy.signals(bars[:cut])
        mine = whole.records["row"] < cut
        assert len(part) == mine.sum()
        for which in ("legs", "packages"):
            one, two = getattr(whole, which), getattr(part, which)
            full, cut_off = one[whole.records["package"][mine] - 1], two[part.records["package"] - 1]
            assert full.tobytes() == cut_off.tobytes()


@pytest.mark.parametrize("name", PREMIUM)
def test_every_strategy_keeps_the_contract(name: str, bars: Bars) -> None:
    kind = strategy_class(name)
    strategy = kind()
    assert strategy.name == name
    assert strategy.warmup == 252
    assert len(kind.space()) >= 4
    for key, space in kind.space().items():
        assert space.contains(strategy.parameters()[key]), key
        for value in space.grid(3):
            assert strategy.replace(**{"rank_window": WINDOW, key: value}).signals(bars[:60]) is not None
    assert all(row["help"] for row in kind.describe())


def test_a_sweep_gives_what_backtests_give(bars: Bars) -> None:
    row: Any
    grid: dict[str, list[Any]] = {
        "rank_window": [WINDOW],
        "delta": [0.2, 0.3],
        "profit_target_pct": [25.0, 50.0],
    }
    table = sweep(bars, make("short-put-spread"), grid, risk=LIMITS, threads=1)
    for row in table.itertuples():
        strategy = make("short-put-spread", delta=row.delta, profit_target_pct=row.profit_target_pct)
        result: Result = backtest(bars, strategy, risk=LIMITS)
        assert row.final_equity == pytest.approx(result.equity.iloc[-1])


def test_stored_quotes_trade_with_a_volatility_beside_them(make_options: MakeOptions) -> None:
    import pandas as pd

    bars = make_options(120, surface="index")
    days, options = bars.index.tz_localize(None), bars.options
    assert options is not None
    closes, index = (pd.Series(v, days) for v in (bars.close[:, 0], 100 * options.volatility[:, 0]))
    market = OptionMarket.from_chains(bars, modelled_chain("U0", closes, index, dte=(1, 70)))
    # the quotes' own 30-day volatility is ranked
    own = make("iron-condor", width_pct=5.0).signals(bars.with_options(market))
    assert len(own) > 0
    bare = bars.with_options(replace(market, volatility=np.zeros((0, 0))))
    with pytest.raises(StrategyError, match=r"volatility=") as caught:
        make("iron-condor").signals(bare)
    assert caught.value.code == "STRATEGY_NO_OPTIONS"
    quoted = bars.with_options(replace(market, volatility=options.volatility))
    result = backtest(quoted, make("iron-condor", width_pct=5.0), risk=LIMITS)
    assert len(result.trades) > 0
    assert (result.verdicts["reason"] == "admitted").any()


def test_bars_without_options_are_told_what_to_add(bars: Bars) -> None:
    for name in PREMIUM:
        with pytest.raises(StrategyError, match=r"with_options") as caught:
            make(name).signals(bars.replaced(options=None))
        assert caught.value.code == "STRATEGY_NO_OPTIONS"


def test_intraday_bars_are_refused(bars: Bars) -> None:
    with pytest.raises(StrategyError) as caught:
        make("iron-condor").signals(bars.replaced(daily=False))
    assert caught.value.code == "STRATEGY_INTRADAY"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("iron-condor", {"target_dte": 20}),
        ("iron-condor", {"exit_dte": 30}),
        ("iron-condor", {"stop_multiple": 0.8}),
        ("iron-condor", {"put_delta": 0.7}),
        ("short-put-spread", {"delta": 0.04}),
        ("short-put-spread", {"width_pct": 0.0}),
        ("short-put-spread", {"min_iv_rank": 101.0}),
        ("iron-condor", {"trail_start_pct": 25.0}),
        ("iron-condor", {"trail_back_pct": 10.0}),
        ("iron-condor", {"call_delta": 0.3, "delta_exit": 0.25}),
        ("iron-condor", {"delta_exit": 30.0}),
        ("calendar", {"min_back_dte": 40}),
        ("calendar", {"stop_multiple": 2.0}),
        ("calendar", {"right": "shares"}),
        ("short-straddle", {"entry_day": "sunday"}),
    ],
)
def test_parameters_that_do_not_fit_are_refused(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(StrategyError) as caught:
        make(name, **changes)
    assert caught.value.code == "STRATEGY_PARAM_VALUE"
