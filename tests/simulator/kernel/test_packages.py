"""Option packages by hand: every example with the cash and the position that result.

One underlying, whose closes are given; quotes are the intrinsic value plus a given time value, and 0.10 wide.
Fills at the mid (`spread_share_1_leg=0` and so on) keep the numbers plain; one test is about the share.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numba.core.errors import NumbaWarning

from simulator import Bars, Conventions, Costs, backtest
from simulator.engine import Run
from simulator.errors import SignalError
from simulator.kernel.dtypes import QUOTE
from simulator.options.market import OptionMarket
from simulator.options.packages import LegSpec, make_legs, make_rules, package_signals
from simulator.results import Result
from simulator.risk_limits import RiskLimits
from simulator.signals import Signals

DAY = 86_400_000_000_000
MONDAY = int(np.datetime64("2020-01-06", "ns").astype(np.int64))
STRIKES = (80.0, 85.0, 90.0, 95.0, 100.0, 105.0, 110.0, 115.0, 120.0)
AT_MID = Costs(
    spread_share_1_leg=0.0, spread_share_2_legs=0.0, spread_share_3_legs=0.0, spread_share_4_legs=0.0
)


def market(
    closes: Sequence[float],
    *,
    last: int | Sequence[int],
    time_value: float | Sequence[float] = 1.0,
    rate: float = 0.0,
    dividend: tuple[int, float] | None = None,
    wide: float = 0.1,
    gone: Sequence[tuple[int, float]] = (),
) -> Bars:
    """Bars of one symbol with options that end at the bars `last`; (bar, strike) in `gone` have no quote."""
    n = len(closes)
    spot = np.asarray(closes, float)
    ts = MONDAY + np.arange(n) * DAY
    panel = np.stack([spot, spot, spot, spot, np.full(n, 1e6)], axis=-1)[:, None, :]
    actions = None
    if dividend is not None:
        day = (np.datetime64("2020-01-06") + dividend[0]).astype(str)
        actions = [{"date": day, "symbol": "A", "kind": "dividend", "value": dividend[1]}]
    bars = Bars.from_arrays(("A",), ts, panel, calendar="24/7", actions=actions, raw=dividend is not None)
    values = np.broadcast_to(np.asarray(time_value, float), (n,))
    rows = []
    for end in [last] if isinstance(last, int) else last:
        for t, right, strike in itertools.product(range(n), (-1, 1), STRIKES):
            if (t, strike) not in gone:
                inside = max(0.0, right * (spot[t] - strike))
                mid = inside + (values[t] if t < end else 0.0)
                bid, ask = max(mid - wide / 2, 0.0), mid + wide / 2
                delta = right * (0.8 if inside > 0 else 0.3)
                rows.append((t, 0, int(bars.session[end]), right, strike, bid, ask, 0.2, delta))
    return bars.replaced(options=OptionMarket.from_quotes(np.array(rows, QUOTE), np.full(n, rate)))


def opened(
    bars: Bars,
    last: int,
    legs: Sequence[LegSpec],
    side: int = -1,
    row: int = 0,
    qty: float = 1.0,
    **rules: Any,
) -> Signals:
    return package_signals(
        bars,
        [row],
        0,
        side,
        make_legs([legs], expiry=int(bars.session[last])),
        make_rules(1, **rules),
        qty=qty,
    )


def traded(bars: Bars, signals: Signals, **options: Any) -> Result:
    given = {"cash": 100_000.0, "risk": None, "costs": AT_MID, **options}
    return backtest(bars, signals, **given)


def shares_held(bars: Bars, signals: Signals, **options: Any) -> list[tuple[float, float]]:
    """Signed shares and their price of every position that is still open and is no package."""
    run = Run(bars, signals, **{"cash": 100_000.0, "risk": None, "costs": AT_MID, **options})
    run.advance()
    account, state = run.state.account[0], run.state
    slots = state.open_slots["slot"][: int(account["n_positions"])]
    return [
        (float(p["side"] * p["qty"]), float(p["entry_price"]))
        for p in state.positions[slots]
        if p["package"] == 0
    ]


PUT_SPREAD: list[LegSpec] = [(-1, "put", 95.0), (1, "put", 90.0)]


def test_a_spread_that_expires_worthless_keeps_its_credit() -> None:
    # 95 put at 1.00 + 0, 90 put at 1.00 + 0: no credit in a flat market; give the sold leg 2.00 by its strike
    bars = market([96, 97, 98, 99], last=3, time_value=1.0)
    signals = opened(bars, 3, [(-1, "put", 100.0), (1, "put", 95.0)])
    result = traded(bars, signals)
    # at 96 the 100 put is worth 4 + 1, the 95 put 0 + 1: a credit of 4.00; at 99 they are worth 1 and 0
    trade = result.trades.iloc[0]
    assert (trade["side"], trade["entry_price"]) == (-1, pytest.approx(4.0))
    # physical by default: the sold put ends 1.00 in the money, and shares are put to us at 100
    assert trade["exit_reason"] == "assignment"
    cash_settled = traded(bars, opened(bars, 3, [(-1, "put", 100.0), (1, "put", 95.0)], physical=0))
    trade = cash_settled.trades.iloc[0]
    assert (trade["exit_reason"], trade["exit_price"]) == ("expiry", pytest.approx(1.0))
    assert trade["pnl"] == pytest.approx(300.0)
    assert cash_settled.equity.iloc[-1] == pytest.approx(100_300.0)


def test_the_target_is_a_share_of_the_credit_and_needs_a_price_that_is_paid() -> None:
    bars = market([100, 100, 100, 100, 100], last=4, time_value=[4.0, 3.0, 2.2, 1.9, 0.0])
    legs: list[LegSpec] = [(-1, "put", 100.0)]
    trade = traded(bars, opened(bars, 4, legs, profit_target=0.5)).trades.iloc[0]
    assert (trade["exit_reason"], trade["exit_price"]) == ("profit_target", pytest.approx(1.9))
    # a quarter of the 0.10 spread is given away at each fill: 3.975 in, 1.925 out is 51.6 % of the credit
    costly = traded(bars, opened(bars, 4, legs, profit_target=0.52), costs=Costs())
    assert costly.trades.iloc[0]["exit_reason"] == "expiry"
    costly = traded(bars, opened(bars, 4, legs, profit_target=0.51), costs=Costs())
    trade = costly.trades.iloc[0]
    assert (trade["entry_price"], trade["exit_price"]) == (pytest.approx(3.975), pytest.approx(1.925))


def test_a_stop_at_twice_the_credit_is_a_loss_of_once_the_credit() -> None:
    bars = market([100, 99, 97, 96], last=3, time_value=3.0)
    trade = traded(bars, opened(bars, 3, [(-1, "put", 100.0)], stop_loss=1.0)).trades.iloc[0]
    # 3.00 in; 4.00 and then 6.00: at 6.00 the loss is one credit
    assert (trade["exit_reason"], trade["exit_price"], trade["bars_held"]) == ("stop", pytest.approx(6.0), 2)
    assert trade["r_multiple"] == pytest.approx(-1.0)


def test_days_to_expiry_delta_and_a_trail_on_profit_end_a_package() -> None:
    bars = market([100] * 8, last=7, time_value=[4.0, 3.5, 3.0, 2.0, 1.5, 2.6, 2.0, 0.0])
    legs: list[LegSpec] = [(-1, "put", 95.0)]
    assert traded(bars, opened(bars, 7, legs, dte_exit=4)).trades.iloc[0]["bars_held"] == 3
    assert traded(bars, opened(bars, 7, legs, dte_exit=4, roll=1)).trades.iloc[0]["exit_reason"] == "roll"
    # best profit 2.50 of 4.00; 0.8 given back is 20 % of the premium
    trade = traded(bars, opened(bars, 7, legs, trail_start=0.5, trail_back=0.2)).trades.iloc[0]
    assert (trade["exit_reason"], trade["bars_held"]) == ("trail", 5)
    falls = market([100, 98, 94, 94], last=3, time_value=2.0)
    trade = traded(falls, opened(falls, 3, legs, delta_exit=0.5)).trades.iloc[0]
    assert (trade["exit_reason"], trade["bars_held"]) == ("delta", 2)


def test_a_cash_secured_put_in_the_money_becomes_shares_at_its_strike() -> None:
    bars = market([101, 99, 97, 98], last=2, time_value=1.5)
    signals = opened(bars, 2, [(-1, "put", 100.0)], qty=2.0, hold=1)
    result = traded(bars, signals)
    trade = result.trades.iloc[0]
    assert (trade["exit_reason"], trade["exit_price"], trade["pnl"]) == (
        "assignment",
        0.0,
        pytest.approx(300.0),
    )
    assert shares_held(bars, signals) == [(200.0, 100.0)]
    # 300 of premium, less 200 shares bought at 100
    assert result.exposure["cash"].iloc[-1] == pytest.approx(100_000 + 300 - 20_000)
    assert result.equity.tolist() == pytest.approx([100_000.0, 99_800.0, 99_700.0, 99_900.0])
    # told not to hold them, they go at the next open
    sold = traded(bars, opened(bars, 2, [(-1, "put", 100.0)], qty=2.0))
    assert sold.trades["exit_reason"].tolist() == ["assignment", "assignment"]
    assert sold.trades.iloc[1][["side", "entry_price", "exit_price"]].tolist() == [1, 100.0, 98.0]


def test_one_leg_of_a_spread_in_the_money_at_expiry_leaves_shares() -> None:
    bars = market([96, 94, 93], last=2, time_value=1.0)
    signals = opened(bars, 2, [(-1, "put", 100.0), (1, "put", 90.0)], hold=1)
    result = traded(bars, signals)
    # a credit of 4.00; at 93 the 100 put is exercised against us, the 90 put expires
    assert shares_held(bars, signals) == [(100.0, 100.0)]
    assert result.equity.iloc[-1] == pytest.approx(100_000.0 + 400.0 - 700.0)


def test_both_legs_in_the_money_cancel_and_cost_the_width() -> None:
    bars = market([96, 90, 85], last=2, time_value=1.0)
    signals = opened(bars, 2, [(-1, "put", 100.0), (1, "put", 95.0)], hold=1)
    result = traded(bars, signals)
    assert shares_held(bars, signals) == []
    trade = result.trades.iloc[0]
    # a credit of 4.00 against the width of 5.00
    assert (trade["exit_reason"], trade["exit_price"], trade["pnl"]) == (
        "assignment",
        5.0,
        pytest.approx(-100.0),
    )


def test_a_close_beside_the_strike_at_expiry_is_flagged_as_a_pin() -> None:
    bars = market([101, 100.5, 100.1], last=2)
    events = traded(bars, opened(bars, 2, [(-1, "put", 100.0)])).events
    assert (events["reason"] == "pin_risk").sum() == 1
    assert "pin_risk" not in set(traded(bars, opened(bars, 2, [(-1, "put", 95.0)])).events["reason"])


def test_a_deep_put_is_assigned_when_waiting_is_worth_less_than_the_interest() -> None:
    # a day's interest on 110 at 5 % is 0.015; a time value of 0.01 is less
    bars = market([95, 94, 93, 92, 91], last=4, time_value=[1.0, 0.5, 0.01, 0.01, 0.0], rate=0.05)
    signals = opened(bars, 4, [(-1, "put", 110.0)], hold=1)
    result = traded(bars, signals)
    trade = result.trades.iloc[0]
    assert (trade["exit_reason"], trade["bars_held"], trade["pnl"]) == (
        "assignment",
        2,
        pytest.approx(1600.0),
    )
    assert shares_held(bars, signals) == [(100.0, 110.0)]
    assert result.equity.iloc[2] == pytest.approx(100_000 + 1600 - 1700)
    european = traded(bars, opened(bars, 4, [(-1, "put", 110.0)], american=0)).trades.iloc[0]
    assert european["bars_held"] == 4


def test_a_call_is_exercised_for_a_dividend_above_its_time_value() -> None:
    # ex-date at bar 2: the evening before, the 100 call has 0.20 of time value left and the dividend is 0.50
    bars = market([104, 105, 104.5, 104], last=3, time_value=[1.0, 0.2, 0.2, 0.0], dividend=(2, 0.5))
    covered: list[LegSpec] = [(1, "shares", 0.0), (-1, "call", 100.0)]
    signals = opened(bars, 3, covered, side=1)
    result = traded(bars, signals)
    trade = result.trades.iloc[0]
    # shares at 104 less a call at 5.00; called away at 100: the time value of 1.00 is earned, no dividend
    assert (trade["exit_reason"], trade["exit_price"], trade["pnl"]) == (
        "assignment",
        100.0,
        pytest.approx(100.0),
    )
    assert trade["dividends" if "dividends" in trade else "fees"] == 0.0
    assert result.equity.iloc[-1] == pytest.approx(100_100.0)
    small = market([104, 105, 104.9, 104], last=3, time_value=[1.0, 0.2, 0.2, 0.0], dividend=(2, 0.1))
    kept = traded(small, opened(small, 3, covered, side=1))
    assert kept.trades.iloc[0]["exit_reason"] == "assignment"
    # not exercised early: the shares received 0.10 each
    assert kept.equity.iloc[-1] == pytest.approx(100_000 + 100 + 10)


def test_one_leg_of_a_spread_assigned_early_is_closed_with_the_other_at_the_next_close() -> None:
    bars = market([95, 94, 93, 92, 91], last=4, time_value=[1.0, 0.5, 0.01, 0.01, 0.0], rate=0.05)
    signals = opened(bars, 4, [(-1, "put", 110.0), (1, "put", 90.0)])
    result = traded(bars, signals)
    trade = result.trades.iloc[0]
    # credit 16 - 1 = 15; shares bought at 110 at bar 2, sold at 92 at bar 3 with the 90 put, 0.00 to 0.06
    assert (trade["exit_reason"], trade["bars_held"]) == ("assignment", 3)
    assert trade["pnl"] == pytest.approx(100 * (15 - 110 + 92 + 0.03))
    assert result.equity.iloc[-1] == pytest.approx(100_000 + trade["pnl"])


def test_a_covered_call_needs_shares_and_calls_them_away() -> None:
    bars = market([99, 97, 98, 103, 104], last=[2, 4], time_value=1.0)
    put = opened(bars, 2, [(-1, "put", 100.0)], hold=1, qty=2.0)
    call = opened(bars, 4, [(-1, "call", 100.0)], row=2, covered=1, qty=5.0)
    assert traded(bars, call).verdicts.iloc[0]["reason"] == "not_covered"
    # the wheel: put to us at 100 at bar 2, where calls at 100 are sold on the shares in the same breath
    wheel = Signals.concat([put, call])
    result = traded(bars, wheel)
    assert result.trades["exit_reason"].tolist() == ["assignment"] * 3
    assert shares_held(bars, wheel) == []
    # 2.00 for the puts at 99, 1.00 for the calls at 98, called away at 100: nothing is left but the premiums
    assert result.equity.iloc[-1] == pytest.approx(100_000 + 2 * 200 + 2 * 100)


def test_what_is_missing_or_crossed_is_never_traded() -> None:
    bars = market([100, 100, 100, 100], last=3, time_value=[4.0, 1.0, 1.0, 0.0], gone=[(0, 90.0), (1, 95.0)])
    late = traded(bars, opened(bars, 3, PUT_SPREAD))
    assert late.verdicts.iloc[0]["reason"] == "no_quote"
    # the target is reached at bar 1, where the sold leg has no quote: it is taken at bar 2
    one = traded(bars, opened(bars, 3, [(-1, "put", 95.0)], profit_target=0.5)).trades.iloc[0]
    assert (one["exit_reason"], one["bars_held"]) == ("profit_target", 2)


def test_fees_are_per_contract_and_leg_with_a_cap() -> None:
    bars = market([100, 100, 100], last=2, time_value=[4.0, 1.0, 0.0])
    costs = AT_MID.replace(commission_per_contract=0.65, commission_leg_cap=10.0)
    # both puts have 4.00 of time value: two sold for one bought bring a credit
    signals = opened(bars, 2, [(-1, "put", 100.0, 2), (1, "put", 95.0)], qty=3.0, dte_exit=1, naked=1)
    assert traded(bars, signals, costs=costs).trades.iloc[0]["fees"] == pytest.approx(2 * (6 + 3) * 0.65)
    many = opened(bars, 2, [(-1, "put", 100.0)], qty=20.0, dte_exit=1, naked=1)
    assert traded(bars, many, costs=costs).trades.iloc[0]["fees"] == pytest.approx(2 * 10.0)


def test_defined_risk_is_the_width_less_the_credit_and_bounds_the_size() -> None:
    bars = market([96, 96, 96, 96], last=3, time_value=1.0)
    legs: list[LegSpec] = [(-1, "put", 100.0), (1, "put", 95.0)]
    # credit 4.00, width 5.00: 100 at risk, 500 tied up; 2 % of 100,000 is 2,000 at risk, 20 packages
    limits = RiskLimits(
        risk_per_trade_pct=2.0, max_portfolio_heat_pct=6.0, max_sector_exposure_pct=100.0,
        max_position_size_pct=100.0,
    )  # fmt: skip
    unsized = package_signals(bars, [0], 0, -1, make_legs([legs], expiry=int(bars.session[3])), make_rules(1))
    verdict = traded(bars, unsized, risk=limits).verdicts.iloc[0]
    assert (verdict["reason"], verdict["granted"]) == ("admitted", 20.0)
    # and cash bounds it where risk does not: 10,000 hold 500 - 400 of each, 100 packages
    poor = traded(bars, opened(bars, 3, legs, qty=500.0), cash=10_000.0).trades.iloc[0]
    assert poor["qty"] == 100.0


def test_a_naked_put_ties_up_what_the_exchange_asks() -> None:
    bars = market([100, 100, 100, 100], last=3, time_value=2.0)
    # 20 % of 100 less 5 out of the money, plus the premium of 2.00, in hundreds: 1,700 less the credit
    naked = traded(bars, opened(bars, 3, [(-1, "put", 95.0)], naked=1, qty=100.0), cash=15_000.0)
    assert naked.trades.iloc[0]["qty"] == 10.0
    secured = traded(bars, opened(bars, 3, [(-1, "put", 95.0)], qty=100.0), cash=18_600.0)
    assert secured.trades.iloc[0]["qty"] == 2.0


@pytest.mark.parametrize(
    ("legs", "words"),
    [
        ([], "0 legs"),
        ([(-1, "put", 95.0)] * 5, "5 legs"),
        ([(-1, "putt", 95.0)], "Did you mean 'put'"),
        ([(0, "put", 95.0)], "side 0"),
        ([(-1, "put", -1.0)], "strike -1.0"),
        ([(-1, "put", 95.0, 0)], "ratio 0"),
        ([(1, "shares", 0.0)], "no option"),
    ],
)
def test_impossible_packages_are_told_apart(legs: list[LegSpec], words: str) -> None:
    bars = market([100, 100, 100], last=2)
    with pytest.raises(SignalError, match=words):
        opened(bars, 2, legs)


def test_a_rule_with_a_wrong_name_or_value_is_named() -> None:
    with pytest.raises(SignalError, match="Did you mean 'profit_target'"):
        make_rules(1, profit_targt=0.5)
    with pytest.raises(SignalError, match="stop_loss"):
        make_rules(1, stop_loss=-1.0)
    bars = market([100, 100, 100], last=1)
    with pytest.raises(SignalError, match="expires on or before"):
        opened(bars, 1, [(-1, "put", 95.0)], row=1)


def test_stocks_and_options_have_code_of_their_own_in_one_process() -> None:
    # numba may take one record type for a special case of another, and call the code of the wrong one
    bars = market([100, 100, 100, 100], last=3, time_value=[4.0, 1.0, 1.0, 0.0])
    shares = Signals.from_arrays(bars, [0], [0], 1, qty=1.0, max_bars=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", NumbaWarning)
        alone = backtest(bars.replaced(options=None), shares, risk=None)
        package = traded(bars, opened(bars, 3, [(-1, "put", 95.0)], profit_target=0.5))
    assert alone.trades["exit_reason"].tolist() == ["time"]
    assert package.trades["exit_reason"].tolist() == ["profit_target"]


def test_the_least_credit_is_a_share_of_the_width_whatever_the_stop() -> None:
    bars = market([96, 96, 96, 96], last=3, time_value=1.0)
    legs: list[LegSpec] = [(-1, "put", 100.0), (1, "put", 95.0)]
    # a credit of 4.00 on a width of 5.00 is 80 %
    refused: dict[str, Any] = {"min_credit": 0.81, "stop_loss": 1.0}
    taken: dict[str, Any] = {"min_credit": 0.79}
    for rules, reason in ((refused, "min_credit"), (taken, "admitted")):
        assert traded(bars, opened(bars, 3, legs, **rules)).verdicts.iloc[0]["reason"] == reason


def test_fees_of_every_kind_are_paid_for_before_a_package_is_opened() -> None:
    bars = market([100, 100, 100], last=2, time_value=4.0)
    call: list[LegSpec] = [(1, "call", 100.0, 10)]
    ten = AT_MID.replace(commission_per_contract=0.65)
    assert not len(traded(bars, opened(bars, 2, call, side=1), cash=4_001.0, costs=ten).trades)
    one: list[LegSpec] = [(1, "call", 100.0)]
    least = AT_MID.replace(commission_min=5.0)
    assert not len(traded(bars, opened(bars, 2, one, side=1), cash=400.5, costs=least).trades)
    # a fee by order is paid once, however many packages it is for
    order = AT_MID.replace(commission_per_order=5.0)
    many = traded(bars, opened(bars, 2, one, side=1, qty=20.0), cash=4_020.0, costs=order)
    assert many.trades.iloc[0]["qty"] == 10.0
    covered: list[LegSpec] = [(1, "shares", 0.0), (-1, "call", 100.0)]
    shares = AT_MID.replace(commission_per_share=0.05)
    assert not len(traded(bars, opened(bars, 2, covered, side=1), cash=9_601.0, costs=shares).trades)


def test_a_spread_that_brings_its_width_is_no_quote() -> None:
    bars = market([90, 90, 90], last=2, time_value=1.0)
    # both puts in the money by more than the width: 5.00 of credit for a width of 5.00
    refused = traded(bars, opened(bars, 2, [(-1, "put", 105.0), (1, "put", 100.0)]))
    assert refused.verdicts.iloc[0]["reason"] == "no_quote"


def test_shares_shorted_by_an_assignment_are_no_money_to_spend() -> None:
    bars = market(
        [104, 105, 104.5, 104.5, 104], last=4, time_value=[1, 0.2, 0.2, 0.2, 0], dividend=(2, 0.5),
        gone=[(2, 110.0)],
    )  # fmt: skip
    spread = opened(bars, 4, [(-1, "call", 100.0), (1, "call", 110.0)])
    greedy = Signals.from_arrays(bars, [2], [0], 1, qty=270.0)
    run = Run(bars, Signals.concat([spread, greedy]), cash=20_000.0, risk=None, costs=AT_MID)
    run.advance()
    trades = run.result().trades
    bought = trades[trades["side"] == 1]
    assert not len(bought) or bought.iloc[0]["qty"] * 104.5 <= 20_000


def test_the_interval_leaves_packages_alone_and_asks_about_stocks() -> None:
    bars = market([104, 100, 96, 97, 98], last=4, time_value=1.0)
    put = opened(bars, 4, [(-1, "put", 100.0)], profit_target=0.5)
    shares = Signals.from_arrays(bars, [0], [0], 1, qty=1.0, stop=98.0, target=110.0)
    both = traded(bars, Signals.concat([put, shares]))
    frame = both.interval().frame
    assert frame["trade"].tolist() == both.trades["id"].tolist()
    assert frame["pnl_min"].tolist() == frame["pnl_max"].tolist() == both.trades["pnl"].tolist()
    alone = traded(bars, put)
    assert alone.interval().frame["pnl_max"].tolist() == alone.trades["pnl"].tolist()


def test_signals_that_lost_their_packages_are_refused() -> None:
    bars = market([100, 100, 100], last=2)
    whole = opened(bars, 2, [(-1, "put", 95.0)])
    with pytest.raises(SignalError, match="copied without packages"):
        traded(bars, Signals(whole.records, whole.symbols))


def test_the_limit_on_days_in_a_trade_holds_for_packages_and_what_they_become() -> None:
    bars = market([100] * 12, last=10, time_value=2.0)
    limits = RiskLimits(
        max_days_in_trade=4, max_position_size_pct=100.0, max_portfolio_heat_pct=100.0,
        max_sector_exposure_pct=100.0,
    )  # fmt: skip
    sold = opened(bars, 10, [(-1, "put", 100.0)], stop_loss=1.0)
    ends = traded(bars, sold, risk=limits).trades.iloc[0]
    assert (ends["exit_reason"], ends["bars_held"]) == ("time", 4)
    # shares that are put to us are held no longer either
    falls = market([100, 99, 98] + [98] * 9, last=2, time_value=2.0)
    kept = opened(falls, 2, [(-1, "put", 100.0)], stop_loss=1.0, hold=1)
    shares = traded(falls, kept, risk=limits).trades.iloc[1]
    assert (shares["side"], shares["exit_reason"]) == (1, "time")


def groups_after(strategies: list[str]) -> list[int]:
    """Groups of two packages, the second opened on the bar on which the first rolls."""
    bars = market([100] * 9, last=[5, 8], time_value=2.0)
    first = package_signals(
        bars, [0], 0, -1, make_legs([[(-1, "put", 95.0)]], expiry=int(bars.session[5])),
        make_rules(1, roll=1, dte_exit=2), qty=1.0, strategy=strategies[0],
    )  # fmt: skip
    second = package_signals(
        bars, [3], 0, -1, make_legs([[(-1, "put", 90.0)]], expiry=int(bars.session[8])),
        make_rules(1, roll=1), qty=1.0, strategy=strategies[1],
    )  # fmt: skip
    run = Run(bars, Signals.concat([first, second]), cash=100_000.0, risk=None, costs=AT_MID)
    found = []
    for _ in range(6):
        run.step()
        slots = run.state.open_slots["slot"][: int(run.state.account["n_positions"][0])]
        found += [int(run.state.positions["group"][slot]) for slot in slots]
    return sorted(set(found))


def test_a_roll_keeps_its_group_within_one_strategy_only() -> None:
    assert len(groups_after(["one", "one"])) == 1
    assert len(groups_after(["one", "two"])) == 2


def covering(strategy: str | None, qty: float = 1.0, rows: Sequence[int] = (1,), **options: Any) -> Result:
    """Two hundred shares of one strategy, and calls sold on them."""
    bars = market([100, 100, 100, 103, 104, 104], last=4, time_value=1.0)
    names = {} if strategy is None else {"strategy": strategy}
    shares = Signals.from_arrays(bars, [0], [0], 1, entry="close", qty=200.0, strategy="w", **options)
    legs = make_legs([[(-1, "call", 100.0)]] * len(rows), expiry=int(bars.session[4]))
    calls = package_signals(bars, list(rows), 0, -1, legs, make_rules(len(rows), covered=1), qty=qty, **names)
    return traded(
        bars, Signals.concat([shares, calls]),
        conventions=Conventions.profile("realistic").replace(same_side="add"),
    )  # fmt: skip


def test_calls_that_name_no_strategy_deliver_the_shares_that_cover_them() -> None:
    for strategy in ("w", None):
        result = covering(strategy, qty=2.0)
        assert result.trades["side"].tolist() == [-1, 1], strategy
        assert result.trades["exit_reason"].tolist() == ["assignment", "assignment"]
    assert covering("other", qty=2.0).verdicts.iloc[1]["reason"] == "not_covered"


def test_two_calls_of_one_close_are_not_covered_by_the_same_shares() -> None:
    verdicts = covering("w", qty=2.0, rows=(1, 1)).verdicts
    assert verdicts["reason"].tolist() == ["admitted", "admitted", "not_covered"]


def test_a_call_whose_shares_are_sold_is_closed_at_that_close() -> None:
    result = covering("w", qty=2.0, max_bars=2)
    call = result.trades[result.trades["side"] == -1].iloc[0]
    assert call["exit_reason"] == "uncovered"


def test_a_call_sold_on_the_evening_before_the_ex_date_is_assigned() -> None:
    # 10.50 for a call that is 10.00 in the money: half a dollar of time is less than the dividend
    bars = market([110.0] * 4, last=3, time_value=0.5, dividend=(1, 3.0))
    trade = traded(bars, opened(bars, 3, [(-1, "call", 100.0)], naked=1)).trades.iloc[0]
    assert (trade["exit_reason"], trade["bars_held"]) == ("assignment", 0)
