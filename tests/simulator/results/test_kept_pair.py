"""What two kept runs have in common and what not, by hand and for whatever trades they have."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.results import METRIC_DEFINITIONS
from simulator.results.kept import KeptRun, KeptTrade, WholeRun
from simulator.results.kept_pair import SIDE_BY_SIDE, pair_of

HEAD = KeptRun(
    id="0" * 16, fingerprint="0" * 64, created=datetime(2026, 1, 5, tzinfo=UTC),
    updated=datetime(2026, 1, 5, tzinfo=UTC), version="1", engine="e", strategy="s", parameters={}, note="",
    data={"first": "2020-01-01", "last": "2020-12-31"}, conventions="realistic", costs="zero", risk=True,
    metrics={"total_return": 0.10, "trades": 3.0, "profit_factor": math.inf, "sharpe": math.nan},
    sharpe_interval=None, scripts=(),
)  # fmt: skip


def trade(symbol: str = "A", side: int = 1, entry: int = 0, exit_: int = 5, qty: float = 1.0) -> KeptTrade:
    return KeptTrade(symbol, side, qty, entry, 10.0, exit_, 11.0, "target", 0.0, qty, 1.0, 5.0, "")


def run(*trades: KeptTrade, **others: object) -> WholeRun:
    whole = WholeRun(
        head=HEAD, settings={"Strategy": {"fast": 10, "slow": 50}}, cash=100.0, ts=np.zeros(0, np.int64),
        equity=np.zeros(0), paid=np.zeros(0), every=1, trades=trades, left_out=0,
    )  # fmt: skip
    return replace(whole, **others)  # type: ignore[arg-type]


def test_settings_that_differ_are_named_and_the_others_counted() -> None:
    other = replace(HEAD, data={"first": "2020-01-01", "last": "2021-12-31"})
    b = run(head=other, settings={"Strategy": {"fast": 10.0, "slow": 60}, "Costs": {"name": "zero"}})
    pair = pair_of(run(), b)
    assert [tuple(one) for one in pair.settings] == [
        ("Strategy", "slow", "50", "60"),
        ("Costs", "name", None, "zero"),
        ("Data", "period", "2020-01-01 to 2020-12-31", "2020-01-01 to 2021-12-31"),
    ]
    assert pair.alike == 1


def test_figures_stand_side_by_side_with_their_difference() -> None:
    other = replace(HEAD, metrics={"total_return": 0.15, "trades": 2.0, "profit_factor": 2.0, "sharpe": 1.0})
    pair = pair_of(run(), run(head=other))
    found = {one.name: (one.a, one.b, one.difference) for one in pair.figures}
    assert found["total_return"] == ("10.00%", "15.00%", "+5.00 points")
    assert found["trades"] == ("3", "2", "-1")
    assert found["profit_factor"] == ("inf", "2.00", "-inf")
    assert found["sharpe"] == ("n/a", "1.00", "n/a")
    assert {one.difference for one in pair_of(run(), run()).figures} <= {"0", "n/a"}
    assert set(SIDE_BY_SIDE) <= set(METRIC_DEFINITIONS)


def test_trades_are_matched_by_symbol_side_and_entry() -> None:
    a = run(
        trade("A", entry=1), trade("B", entry=1), trade("C", entry=2, exit_=5), trade("D", side=1, entry=3)
    )
    b = run(
        trade("A", entry=1), trade("B", entry=2), trade("C", entry=2, exit_=9), trade("D", side=-1, entry=3)
    )
    pair = pair_of(a, b)
    assert (pair.same, pair.whole) == (1, True)
    assert [one.symbol for one in pair.only_a] == ["B", "D"]
    assert [one.symbol for one in pair.only_b] == ["B", "D"]
    assert [(one.exit_ts, two.exit_ts) for one, two in pair.changed] == [(5, 9)]


def test_runs_that_kept_a_part_of_their_trades_are_not_matched() -> None:
    pair = pair_of(run(trade()), run(left_out=3))
    assert (pair.whole, pair.only_a, pair.only_b, pair.same) == (False, (), (), 0)


trades = st.lists(
    st.builds(
        trade, st.sampled_from("AB"), st.sampled_from([1, -1]), st.integers(0, 3), st.integers(4, 6),
        st.sampled_from([1.0, 2.0]),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(one=trades, two=trades)
def test_every_trade_is_in_one_place(one: list[KeptTrade], two: list[KeptTrade]) -> None:
    pair, turned = pair_of(run(*one), run(*two)), pair_of(run(*two), run(*one))
    assert len(pair.only_a) + len(pair.changed) + pair.same == len(one)
    assert len(pair.only_b) + len(pair.changed) + pair.same == len(two)
    keys = [Counter((x.symbol, x.side, x.entry_ts) for x in side) for side in (one, two)]
    # by key, what is left over is what the other has fewer of
    assert Counter((x.symbol, x.side, x.entry_ts) for x in pair.only_a) == keys[0] - keys[1]
    assert Counter((x.symbol, x.side, x.entry_ts) for x in pair.only_b) == keys[1] - keys[0]
    assert (len(turned.only_a), len(turned.only_b)) == (len(pair.only_b), len(pair.only_a))
    assert turned.same == pair.same
    with_itself = pair_of(run(*one), run(*one))
    assert with_itself.same == len(one)


def test_of_trades_that_began_together_those_that_are_alike_are_paired() -> None:
    pair = pair_of(run(trade(qty=1.0)), run(trade(qty=2.0), trade(qty=1.0)))
    assert (pair.same, pair.changed, [one.qty for one in pair.only_b]) == (1, (), [2.0])
