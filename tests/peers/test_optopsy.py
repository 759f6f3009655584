"""optopsy: the same put spreads on the same chain cost and earn the same, under its fill rule, the mid.

optopsy has no account: it pairs every entry with the quotes on one exit day. So every pair of strikes that it
evaluates is a signal here, in one run that may hold them all at once.
"""

from __future__ import annotations

import numpy as np
import optopsy
import pandas as pd
import pytest

from simulator import Bars, Conventions, Costs, backtest, load_bars
from simulator.options import Chain, OptionMarket, make_legs, make_rules, modelled_chain, package_signals

AT_MID = Costs(
    spread_share_1_leg=0.0, spread_share_2_legs=0.0, spread_share_3_legs=0.0, spread_share_4_legs=0.0
)
EXIT_DTE, ENTRY_DTE = 21, 45


@pytest.fixture(scope="module")
def quoted() -> tuple[Bars, Chain]:
    bars = load_bars("synthetic:1x120?seed=3")
    closes = pd.Series(bars.close[:, 0], index=bars.index)
    index = pd.Series(15.0 + 10.0 * np.random.default_rng(5).random(len(bars)), index=bars.index)
    chain = modelled_chain(bars.symbols[0], closes, index, dte=(1, 60))
    return bars.with_options(OptionMarket.from_chains(bars, chain)), chain


def spreads_of(chain: Chain) -> pd.DataFrame:
    """What optopsy says of every short put spread: one row per entry day and pair of strikes."""
    table = chain.to_frame()
    data = pd.DataFrame(
        {
            "underlying_symbol": chain.symbol,
            "underlying_price": table["underlying"],
            "option_type": table["kind"].astype(str).str[0],
            "expiration": table["expiry"].astype("datetime64[ns]"),
            "quote_date": table["time"].dt.tz_convert(None).dt.normalize().astype("datetime64[ns]"),
            "strike": table["strike"],
            "bid": table["bid"],
            "ask": table["ask"],
        }
    )
    return optopsy.short_put_spread(
        data, raw=True, max_entry_dte=ENTRY_DTE, exit_dte=EXIT_DTE, max_otm_pct=0.1, min_bid_ask=0.05
    )


def test_every_put_spread_costs_and_earns_what_optopsy_says(quoted: tuple[Bars, Chain]) -> None:
    bars, chain = quoted
    theirs = spreads_of(chain)
    theirs = theirs[theirs["dte_entry"] > EXIT_DTE].reset_index(drop=True)
    assert len(theirs) > 500
    expiry = theirs["expiration"].to_numpy("datetime64[D]").astype(np.int64)
    row = np.searchsorted(bars.session, expiry - theirs["dte_entry"].to_numpy())
    # optopsy's first leg is the one that it buys, at the lower strike; the second is sold
    pairs = zip(theirs["strike_leg1"], theirs["strike_leg2"], strict=True)
    legs = make_legs(
        [[(1, "put", float(low)), (-1, "put", float(high))] for low, high in pairs], expiry=expiry
    )
    signals = package_signals(
        bars, row, 0, -1, legs, make_rules(len(row), dte_exit=EXIT_DTE, american=0, physical=0), qty=1.0,
        tag=[str(index) for index in range(len(row))],
    )  # fmt: skip
    result = backtest(
        bars, signals, cash=1e9, risk=None, costs=AT_MID, capacity=len(row) + 1,
        conventions=Conventions.profile("realistic").replace(same_side="add"),
    )  # fmt: skip
    # nothing that brings no credit is sold here
    refused = result.verdicts[result.verdicts["reason"] != "admitted"]
    assert set(refused["reason"]) <= {"min_credit", "no_quote"}
    ours = result.trades.set_index(result.trades["tag"].astype(int)).sort_index()
    mine = theirs.loc[ours.index]
    assert len(ours) > 0.9 * len(theirs)
    print(f"{len(ours):,} put spreads of {len(theirs):,}; the others bring no credit at the mid")
    assert set(ours["exit_reason"]) == {"dte"}
    # a credit is a negative cost there
    assert -ours["entry_price"].to_numpy() == pytest.approx(mine["total_entry_cost"].to_numpy(), abs=1e-9)
    assert -ours["exit_price"].to_numpy() == pytest.approx(mine["total_exit_proceeds"].to_numpy(), abs=1e-9)
    change = (ours["entry_price"] - ours["exit_price"]) / ours["entry_price"]
    assert change.to_numpy() == pytest.approx(mine["pct_change"].to_numpy(), abs=1e-9)
