"""Limits on the Greeks of the account, by hand: every verdict with the numbers that lead to it.

Prices stay at 100 and volatility at 20 % unless a test says otherwise; unit Greeks come from
`simulator.options.pricing`, never from the kernel's rules.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pytest

from simulator import Bars, Conventions, Costs, PortfolioRiskManager, backtest
from simulator.engine import Run
from simulator.errors import ConfigError, DataError, TwinstepWarning, UnknownNameError
from simulator.kernel.dtypes import QUOTE
from simulator.options.exposure import portfolio_greeks
from simulator.options.market import OptionMarket
from simulator.options.packages import LegSpec, make_legs, make_rules, package_signals
from simulator.options.pricing import Greeks, greeks, price
from simulator.options.surface import Surface
from simulator.risk_limits import RiskLimits
from simulator.signals import Signals
from simulator.stepper import Stepper

DAY: Final = 86_400_000_000_000
MONDAY: Final = int(np.datetime64("2020-01-06", "ns").astype(np.int64))
BARS: Final = 40
LAST: Final = 35
VOLATILITY: Final = 0.2
RATE: Final = 0.03
CASH: Final = 100_000.0
AT_MID: Final = Costs(
    spread_share_1_leg=0.0, spread_share_2_legs=0.0, spread_share_3_legs=0.0, spread_share_4_legs=0.0
)
ROOMY: Final = RiskLimits(
    risk_per_trade_pct=1000.0,
    max_portfolio_heat_pct=10_000.0,
    max_sector_exposure_pct=10_000.0,
    max_correlation=None,
    max_positions_per_symbol=None,
    max_open_positions=20,
    min_risk_reward_ratio=0.0,
    leverage=100.0,
    daily_loss_limit=90.0,
)
# at the money, at the level of the index, without a smile worth the name
FLAT: Final = dataclasses.replace(
    Surface(),
    ticks="penny",
    spread_factor=0.01,
    atm_share=1.0,
    long_run=VOLATILITY,
    curvature=1e-9,
    correlation_short=0.0,
    correlation_long=0.0,
)


def market(
    closes: Sequence[float] | None = None, *, symbols: int = 1, betas: dict[str, float] | None = None
) -> Bars:
    """Bars of some symbols at the same closes, with modelled options on each."""
    n = BARS if closes is None else len(closes)
    spot = np.full(n, 100.0) if closes is None else np.asarray(closes, float)
    one = np.stack([spot, spot, spot, spot, np.full(n, 1e6)], axis=-1)
    names = [chr(ord("A") + k) for k in range(symbols)]
    panel = np.stack([one] * symbols, axis=1)
    bars = Bars.from_arrays(names, MONDAY + np.arange(n) * DAY, panel, calendar="24/7")
    options = OptionMarket.modelled(bars, dict.fromkeys(names, VOLATILITY), surface=FLAT, rate=RATE)
    return bars.with_options(options).with_betas(betas or {})


def package(
    bars: Bars,
    legs: Sequence[LegSpec],
    side: int,
    row: int,
    qty: float,
    *,
    symbol: int = 0,
    **rules: Any,
) -> Signals:
    """One package of options that ends at bar `LAST`."""
    made = make_legs([legs], expiry=int(bars.session[0]) + LAST)
    return package_signals(bars, [row], symbol, side, made, make_rules(1, **rules), qty=qty)


def shares(bars: Bars, row: int, side: int, qty: float, symbol: int = 0, **more: Any) -> Signals:
    return Signals.from_arrays(bars, [row], symbol, side, qty=qty, stop_percent=50.0, **more)


def verdicts(
    bars: Bars, signals: Sequence[Signals], limits: RiskLimits, **more: Any
) -> list[tuple[Any, ...]]:
    """Reason, rule, value, limit and granted of every verdict."""
    given = Signals.concat(list(signals)) if len(signals) > 1 else signals[0]
    table = backtest(bars, given, risk=limits, cash=CASH, costs=AT_MID, **more).verdicts
    columns = [table[name] for name in ("reason", "rule", "value", "limit", "granted")]
    return list(zip(*columns, strict=True))


def of_leg(
    kind: str, strike: float, *, days: float, spot: float = 100.0, volatility: float = VOLATILITY
) -> Greeks[float]:
    return greeks(kind, spot, strike, days / 365.0, RATE, volatility, style="american")


# Delta


def test_shares_count_with_price_and_beta() -> None:
    bars = market(symbols=2, betas={"A": 1.5})
    limits = ROOMY.replace(max_net_delta_pct=30.0)
    # 300 x 100 x 1.5 are 45 % of 100,000; 200 are 30 %, and B, with a beta of 1, finds nothing left
    first, second = verdicts(bars, [shares(bars, 1, 1, 300.0), shares(bars, 1, 1, 10.0, 1)], limits)
    assert first == ("shrunk", "net_delta", pytest.approx(0.45), 0.3, 200.0)
    assert second == ("net_delta", "net_delta", pytest.approx(0.31), 0.3, 0.0)
    # without a beta 300 are just 30 %
    plain = market(symbols=2)
    assert verdicts(plain, [shares(plain, 1, 1, 300.0)], limits)[0][0] == "admitted"


def test_the_other_side_lowers_net_delta_and_may_cross_over() -> None:
    bars = market(symbols=2)
    limits = ROOMY.replace(max_net_delta_pct=30.0)
    found = verdicts(bars, [shares(bars, 1, 1, 300.0), shares(bars, 1, -1, 700.0, 1)], limits)
    # from +30 % to -30 % are 600 shares
    assert found[1] == ("shrunk", "net_delta", pytest.approx(0.4), 0.3, 600.0)


def test_rejecting_instead_of_shrinking_is_a_policy() -> None:
    bars = market()
    limits = ROOMY.replace(max_net_delta_pct=30.0, on_greeks="reject")
    (found,) = verdicts(bars, [shares(bars, 1, 1, 301.0)], limits)
    assert found == ("net_delta", "net_delta", pytest.approx(0.301), 0.3, 0.0)


def test_a_breach_that_prices_made_is_not_raised_but_may_be_lowered() -> None:
    closes = [100.0, 100.0, 100.0, 200.0, 200.0, 200.0]
    bars = market(closes, symbols=2)
    limits = ROOMY.replace(max_net_delta_pct=30.0)
    bought = shares(bars, 0, 1, 300.0)
    # 300 at 200 are 60,000 of 130,000
    up, down = verdicts(bars, [bought, shares(bars, 3, 1, 1.0, 1), shares(bars, 3, -1, 50.0, 1)], limits)[1:]
    assert up == ("net_delta", "net_delta", pytest.approx(60_200 / 130_000), 0.3, 0.0)
    assert (down[0], down[4]) == ("admitted", 50.0)


def test_resting_entries_and_planned_adds_count() -> None:
    bars = market(symbols=2)
    limits = ROOMY.replace(max_net_delta_pct=30.0)
    resting = shares(bars, 1, 1, 200.0, entry="limit", limit_price=90.0)
    # 200 at 90 leave 12,000
    assert verdicts(bars, [resting, shares(bars, 2, 1, 150.0, 1)], limits)[1][4] == 120.0
    # 100 more planned at 150: 15,000 after 10,000
    adding = shares(bars, 1, 1, 100.0, add_r=1.0, add_fraction=1.0)
    assert verdicts(bars, [adding, shares(bars, 3, 1, 100.0, 1)], limits)[1][4] == 50.0


def test_shares_that_a_reversal_closes_do_not_count() -> None:
    bars = market()
    limits = ROOMY.replace(max_net_delta_pct=30.0)
    found = verdicts(
        bars,
        [shares(bars, 1, 1, 300.0), shares(bars, 5, -1, 400.0)],
        limits,
        conventions=Conventions(opposite_side="reverse"),
    )
    assert found[1] == ("shrunk", "net_delta", pytest.approx(0.4), 0.3, 300.0)


# Packages


PUT_SPREAD: Final[list[LegSpec]] = [(-1, "put", 95.0), (1, "put", 90.0)]
STRADDLE: Final[list[LegSpec]] = [(1, "put", 100.0), (1, "call", 100.0)]
SOLD_STRADDLE: Final[list[LegSpec]] = [(-1, "put", 100.0), (-1, "call", 100.0)]


def spread_greeks(days: float) -> dict[str, float]:
    """Greeks of one put spread of 100 shares, in currency, as the limits measure them."""
    sold, bought = of_leg("put", 95.0, days=days), of_leg("put", 90.0, days=days)
    return {
        "net_delta": 100.0 * (bought.delta - sold.delta) * 100.0,
        "gamma": 100.0 * (bought.gamma - sold.gamma) * 100.0 * 100.0 * 0.01,
        "theta": 100.0 * (bought.theta - sold.theta),
        "vega": 100.0 * (bought.vega - sold.vega),
    }


@pytest.mark.parametrize(
    ("name", "percent"), [("net_delta", 20.0), ("gamma", 4.0), ("theta", 0.02), ("vega", 0.1)]
)
def test_a_package_shrinks_to_what_a_greek_leaves(name: str, percent: float) -> None:
    bars = market()
    unit = abs(spread_greeks(LAST - 1)[name])
    limits = ROOMY.replace(**{f"max_{name}_pct": percent})
    (found,) = verdicts(bars, [package(bars, PUT_SPREAD, -1, 1, 200.0)], limits)
    fits = math.floor(percent / 100.0 * CASH / unit)
    assert 1 < fits < 200
    assert found == (
        "shrunk", name, pytest.approx(200.0 * unit / CASH, rel=1e-6), percent / 100.0, fits
    )  # fmt: skip


def test_a_premium_seller_has_the_signs_that_the_rules_assume() -> None:
    unit = spread_greeks(30)
    assert unit["net_delta"] > 0  # sold puts gain as the underlying rises
    assert unit["gamma"] < 0
    assert unit["theta"] > 0
    assert unit["vega"] < 0


def test_the_beta_weighs_the_delta_of_options_too() -> None:
    bars = market(betas={"A": 2.0})
    unit = 2.0 * spread_greeks(LAST - 1)["net_delta"]
    (found,) = verdicts(
        bars, [package(bars, PUT_SPREAD, -1, 1, 200.0)], ROOMY.replace(max_net_delta_pct=20.0)
    )
    assert found[4] == math.floor(20_000.0 / unit)


def test_theta_received_is_capped_and_theta_paid_is_not() -> None:
    bars = market()
    limits = ROOMY.replace(max_theta_pct=0.02)
    assert verdicts(bars, [package(bars, STRADDLE, 1, 1, 50.0)], limits)[0][0] == "admitted"
    (sold,) = verdicts(bars, [package(bars, SOLD_STRADDLE, -1, 1, 50.0, naked=1)], limits)
    unit = -100.0 * (of_leg("put", 100.0, days=LAST - 1).theta + of_leg("call", 100.0, days=LAST - 1).theta)
    assert sold[:2] == ("shrunk", "theta")
    assert sold[4] == math.floor(0.02 / 100.0 * CASH / unit)


@pytest.mark.parametrize("name", ["gamma", "vega"])
def test_gamma_and_vega_are_capped_long_and_short(name: str) -> None:
    bars = market()
    limits = ROOMY.replace(**{f"max_{name}_pct": 0.5 if name == "vega" else 20.0})
    (bought,) = verdicts(bars, [package(bars, STRADDLE, 1, 1, 80.0)], limits)
    (sold,) = verdicts(bars, [package(bars, SOLD_STRADDLE, -1, 1, 80.0, naked=1)], limits)
    assert bought[:2] == sold[:2] == ("shrunk", name)
    assert 0 < bought[4] == sold[4] < 80.0


def test_what_lowers_a_greek_in_breach_is_admitted() -> None:
    # sold at the money: 19 days nearer to expiry its gamma is above the limit
    bars = market(symbols=2)
    per = -100.0 * 100.0 * sum(of_leg(kind, 100.0, days=LAST - 1).gamma for kind in ("put", "call"))
    limits = ROOMY.replace(max_gamma_pct=10.0)
    sold = package(bars, SOLD_STRADDLE, -1, 1, 80.0, naked=1)
    more = package(bars, [(-1, "put", 99.0), (1, "put", 96.0)], -1, 20, 1.0)
    hedge = package(bars, STRADDLE, 1, 20, 2.0, symbol=1)
    first, second, third = verdicts(bars, [sold, more, hedge], limits, conventions=_beside())
    assert first[4] == math.floor(10_000.0 / -per)
    assert second[:2] == ("gamma", "gamma")
    assert second[2] > 0.1
    assert (third[0], third[4]) == ("admitted", 2.0)


def _beside() -> Any:
    # several packages on one symbol: an order of the same side is an addition
    return Conventions(same_side="add")


def test_a_covered_call_lowers_the_delta_of_its_shares() -> None:
    bars = market(symbols=2)
    limits = ROOMY.replace(max_net_delta_pct=10.0)
    held = shares(bars, 1, 1, 100.0)
    call = package(bars, [(-1, "call", 105.0)], -1, 3, 1.0, covered=1)
    after = shares(bars, 4, 1, 100.0, 1)
    found = verdicts(bars, [held, call, after], limits)
    delta = of_leg("call", 105.0, days=LAST - 4).delta
    assert found[1][0] == "admitted"
    # the premium is equity by then, less what the call is worth
    assert found[2][4] == pytest.approx(100.0 * delta, abs=1.0)


# Quotes that are missing


def quoted(gone: Sequence[int], closes: Sequence[float]) -> Bars:
    """Stored quotes at 20 %, without any at the bars `gone`."""
    n = len(closes)
    spot = np.asarray(closes, float)
    panel = np.stack([spot, spot, spot, spot, np.full(n, 1e6)], axis=-1)[:, None, :]
    panel = np.concatenate([panel, panel], axis=1)
    bars = Bars.from_arrays(("A", "B"), MONDAY + np.arange(n) * DAY, panel, calendar="24/7")
    rows = []
    for t in range(n):
        for strike in (90.0, 95.0, 100.0):
            end = int(bars.session[0]) + LAST
            mid = price("put", spot[t], strike, (LAST - t) / 365.0, RATE, VOLATILITY, style="american")
            if t not in gone:
                rows.append((t, 0, end, -1, strike, mid - 0.01, mid + 0.01, np.nan, np.nan))
    return bars.with_options(OptionMarket.from_quotes(np.array(rows, QUOTE), np.full(n, RATE)))


def test_an_option_without_a_quote_keeps_its_last_volatility_at_the_new_price() -> None:
    closes = [100.0, 100.0, 97.0, 97.0, 97.0]
    bars = quoted([2, 3], closes)
    limits = ROOMY.replace(max_net_delta_pct=40.0)
    sold = package(bars, PUT_SPREAD, -1, 1, 5.0)
    asked = shares(bars, 2, 1, 1000.0, 1)
    found = verdicts(bars, [sold, asked], limits)
    bought = of_leg("put", 90.0, days=LAST - 2, spot=97.0)
    short = of_leg("put", 95.0, days=LAST - 2, spot=97.0)
    delta = 500.0 * (bought.delta - short.delta) * 97.0
    # the mark is that of the last quote, and so is the equity
    assert found[1][:2] == ("shrunk", "net_delta")
    assert found[1][2] == pytest.approx((delta + 97_000.0) / CASH, rel=1e-6)
    assert found[1][4] == math.floor((40_000.0 - delta) / 97.0)


def test_a_price_that_implies_no_volatility_moves_with_the_underlying_or_not_at_all() -> None:
    bars = quoted([], [80.0] * 5)
    options = bars.options
    assert options is not None
    flat = options.quotes.copy()
    # worth what exercising brings, so that no volatility follows
    for quote in flat:
        inside = quote["strike"] - 80.0
        quote["bid"], quote["ask"] = inside - 0.01, inside + 0.01
    bars = bars.with_options(OptionMarket.from_quotes(flat, np.full(len(bars), RATE)))
    limits = ROOMY.replace(max_net_delta_pct=40.0, max_gamma_pct=0.1)
    (found,) = verdicts(bars, [package(bars, [(-1, "put", 95.0)], -1, 1, 10.0)], limits)
    # each sold put is 100 shares, and has no gamma
    assert found == ("shrunk", "net_delta", pytest.approx(0.8), 0.4, 5.0)


# What the manager shows, and what a limit may be


def test_the_manager_shows_greeks_and_limits() -> None:
    bars = market(symbols=2, betas={"A": 1.5, "B": 0.5})
    limits = ROOMY.replace(max_net_delta_pct=500.0)
    signals = Signals.concat(
        [
            package(bars, PUT_SPREAD, -1, 1, 10.0),
            shares(bars, 1, 1, 50.0, 1),
            shares(bars, 3, -1, 20.0, 1, entry="limit", limit_price=110.0),
        ]
    )
    for risk in (limits, ROOMY):  # without a limit nothing is kept, and the same is shown
        run = Run(bars, signals, risk=risk, cash=CASH, costs=AT_MID, conventions=_beside())
        run.advance(3)
        before = run.fingerprint()
        shown = PortfolioRiskManager(limits).portfolio_risk(run)
        assert run.fingerprint() == before
        held = portfolio_greeks(run, bars, row=2)
        spread = spread_greeks(LAST - 2)
        share = 100.0 / shown.equity
        assert shown.delta_pct == pytest.approx(share * (10.0 * spread["net_delta"] + 5_000.0), rel=1e-6)
        assert shown.beta_delta_pct == pytest.approx(share * (15.0 * spread["net_delta"] + 2_500.0), rel=1e-6)
        assert shown.delta_pct == pytest.approx(share * 100.0 * held.delta)
        assert shown.gamma_pct == pytest.approx(share * 10.0 * spread["gamma"], rel=1e-6)
        assert shown.theta_pct == pytest.approx(share * held.theta)
        assert shown.vega_pct == pytest.approx(share * held.vega)
        assert shown.limits.max_net_delta_pct == 500.0


def test_a_stepper_is_measured_with_the_bars_that_it_was_given() -> None:
    bars = market()
    signals = package(bars, PUT_SPREAD, -1, 1, 10.0)
    run = Run(bars, signals, risk=ROOMY, cash=CASH, costs=AT_MID)
    run.advance(5)
    stepper = Stepper(bars, risk=ROOMY, cash=CASH, costs=AT_MID)
    stepper.push(bars[0:1])
    stepper.push(bars[1:5], signals)
    manager = PortfolioRiskManager(ROOMY)
    assert math.isnan(manager.portfolio_risk(stepper).vega_pct)
    assert manager.portfolio_risk(stepper, bars, row=4) == manager.portfolio_risk(run)
    assert manager.portfolio_risk(stepper, bars[:5]).vega_pct == manager.portfolio_risk(run).vega_pct


@pytest.mark.parametrize("name", ["max_net_delta_pct", "max_gamma_pct", "max_theta_pct", "max_vega_pct"])
def test_a_limit_is_a_number_above_0(name: str) -> None:
    assert getattr(RiskLimits(), name) is None
    for wrong in (0.0, -1.0, math.nan, "1", True):
        with pytest.raises(ConfigError, match=name):
            ROOMY.replace(**{name: wrong})
    with pytest.warns(TwinstepWarning, match="CONFIG_PERCENT_LOOKS_LIKE_FRACTION"):
        ROOMY.replace(**{name: 0.001})
    assert getattr(ROOMY.replace(**{name: math.inf}), name) == math.inf
    with pytest.raises(ConfigError, match="on_greeks"):
        RiskLimits(on_greeks="ignore")


def test_betas_belong_to_the_bars() -> None:
    bars = market(symbols=2)
    weighted = bars.with_betas({"B": -0.5})
    assert weighted.instruments["beta"].tolist() == [1.0, -0.5]
    assert bars.instruments["beta"].tolist() == [1.0, 1.0]
    assert weighted.fingerprint != bars.fingerprint
    assert weighted.select(["B"]).instruments["beta"].tolist() == [-0.5]
    with pytest.raises(UnknownNameError):
        bars.with_betas({"X": 1.0})
    with pytest.raises(DataError, match="beta"):
        bars.with_betas({"A": math.inf})


def test_a_reversal_of_shares_leaves_the_packages_of_the_symbol_in_the_measures() -> None:
    bars = market()
    bought = package(bars, STRADDLE, 1, 1, 10.0)
    signals = [bought, shares(bars, 1, 1, 10.0), shares(bars, 5, -1, 10.0)]
    given = Signals.concat(signals)
    reverse = Conventions(opposite_side="reverse")
    run = Run(bars, given, risk=ROOMY, cash=CASH, costs=AT_MID, conventions=reverse)
    run.advance(5)
    held = PortfolioRiskManager(ROOMY).portfolio_risk(run).positions
    loss = next(position.risk for position in held if position.entry_price < 50.0)
    # ten shares risk 500: beside what the package can lose there is room for half of them
    limits = ROOMY.replace(max_portfolio_heat_pct=100.0 * (loss + 250.0) / run.state.account["equity"][0])
    (verdict,) = PortfolioRiskManager(limits, conventions=reverse).evaluate(run, signals[2])
    assert verdict.rule.label == "heat"
    assert verdict.granted == pytest.approx(5.0, abs=1.0)
