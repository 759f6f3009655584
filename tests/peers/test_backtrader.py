"""Under the profile `backtrader`, bracket and trailing trades equal backtrader's: bars, prices, fees."""

from __future__ import annotations

import numpy as np
import pytest

from simulator import load_bars

from .backtrader_cases import (
    COUNT,
    KINDS,
    BacktraderCase,
    backtrader_trades,
    case_on,
    random_cases,
    twinstep_trades,
)
from .cases import PeerTrade, Prices, differences

pytest.importorskip("backtrader")

REAL_BARS = 600


def test_every_trade_of_100_random_cases_agrees() -> None:
    cases = random_cases()
    assert len(cases) == COUNT == 100
    found: list[PeerTrade] = []
    lines = []
    for case in cases:
        expected = backtrader_trades(case)
        found += expected
        lines += [f"case {case.index}: {line}" for line in differences(twinstep_trades(case), expected)]
    assert not lines, "\n".join(lines[:10])
    assert len(found) > 1000
    assert {trade.side for trade in found} == {1, -1}
    assert any(trade.open for trade in found)
    assert {case.kind for case in cases} == set(KINDS)


@pytest.mark.parametrize("symbol", ["AAPL", "GOOG", "IBM", "MSFT"])
def test_every_trade_on_real_prices_agrees(symbol: str) -> None:
    bars = load_bars("sample:stocks", guard="note")
    panel = bars.panel[:, bars.column(symbol), :4]
    panel = panel[~np.isnan(panel).any(axis=1)][-REAL_BARS:]
    prices = Prices(panel[:, 0], panel[:, :4].max(axis=1), panel[:, :4].min(axis=1), panel[:, 3])
    for index in range(len(KINDS)):
        case = case_on(index, prices, np.random.default_rng([11, index]))
        expected = backtrader_trades(case)
        assert len(expected) > 5
        assert not differences(twinstep_trades(case), expected)


def one_trade(open_: float) -> BacktraderCase:
    """Long at the open after bar 0, stop 95 and target 110; the entry opens at `open_`."""
    opens = np.array([100.0, open_, open_, open_])
    prices = Prices(opens, opens + 1.0, opens - 1.0, opens)
    nothing = np.full(4, np.nan)
    return BacktraderCase(
        index=0,
        prices=prices,
        signal=np.array([1, 0, 0, 0]),
        kind="bracket",
        stop=np.where([True, False, False, False], 95.0, nothing),
        target=np.where([True, False, False, False], 110.0, nothing),
        trail=0.0,
        size=10.0,
        commission=0.0,
    )


def test_an_entry_that_gaps_beyond_its_own_stop_is_taken_by_backtrader_and_cancelled_by_us() -> None:
    # backtrader fills the parent at 90 and sells at the next open, because its children wake one bar later:
    # a trade without a stop in force. Ours is cancelled (GAPPED_STOP) and there is no trade.
    case = one_trade(90.0)
    assert backtrader_trades(case) == [PeerTrade(1, 1, 2, 90.0, 90.0, 10.0, 0.0, False)]
    assert twinstep_trades(case) == []


def test_an_entry_that_gaps_beyond_its_own_target_is_taken_by_both() -> None:
    case = one_trade(112.0)
    expected = [PeerTrade(1, 1, 2, 112.0, 112.0, 10.0, 0.0, False)]
    assert backtrader_trades(case) == expected
    assert not differences(twinstep_trades(case), expected)


def test_a_stop_trail_inside_a_bracket_starts_from_the_close_before_the_entry() -> None:
    # The reason why the cases submit the StopTrail when the fill is reported: as a bracket's child it is
    # created with the entry, so it trails from the signal's close, 100, and not from the fill, 104.
    import backtrader as bt
    import pandas as pd

    from .cases import days

    exits: list[float] = []

    class Bracket(bt.Strategy):  # type: ignore[misc]  # backtrader has no types
        def next(self) -> None:
            if len(self) == 1:
                self.buy_bracket(
                    size=1, exectype=bt.Order.Market, limitexec=None, stopexec=bt.Order.StopTrail,
                    stopargs={"trailamount": 5.0},
                )  # fmt: skip

        def notify_order(self, order: object) -> None:
            if order.status == order.Completed and order.issell():  # type: ignore[attr-defined]
                exits.append(order.executed.price)  # type: ignore[attr-defined]

    opens = np.array([100.0, 104.0, 103.0, 98.2, 94.0])
    frame = pd.DataFrame(
        {"open": opens, "high": opens + 0.5, "low": opens - 0.5, "close": opens - 0.4, "volume": 1.0},
        index=pd.DatetimeIndex(days(5)),
    )
    frame.loc[frame.index[0], "close"] = 100.0
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(Bracket)
    cerebro.run()
    # From the fill the stop would be 99 and bar 3 an exit at its open, 98.2. From the close before it is 95,
    # raised to 102.6 - 5 = 97.6 by the first close on which it is active: the low of 97.7 passes it by, and
    # the next open is below.
    assert exits == [94.0]
