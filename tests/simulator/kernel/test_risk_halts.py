"""Halts, kills and cooldowns: when they begin, what they stop, and what they never stop."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.engine import Run
from simulator.kernel import codes
from tests.budget import many_or_few
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.generate import Configuration, configurations, shapes
from tests.simulator.kernel.market import (
    LOOSE,
    bars_of,
    events,
    fills,
    flat,
    made,
    run,
    states,
    trades,
    verdicts,
)
from tests.simulator.kernel.measures import resting

# Halts
DROP = made(100, 100, (100, 100, 97, 97), 97, 97, 97)


def losing(**changes: Any) -> Run:
    """In at 100 with 1,000 shares of 100,000; the close of row 2 is 3 % down. A signal a day."""
    signals = [{"row": row, "symbol": "B", "qty": 1.0, "stop": 1.0} for row in range(6)]
    bars = bars_of({"A": DROP, "B": flat(10, 6)})
    commands = changes.pop("commands", ())
    limits = LOOSE.replace(daily_loss_limit=2.0, max_positions_per_symbol=None, **changes)
    return run(
        bars,
        {"qty": 1_000.0, "stop": 50.0},
        *signals,
        risk=limits,
        commands=commands,
        conventions=Conventions(same_side="add"),
        cash=120_000.0,
    )


def test_a_daily_loss_halts_on_the_bar_it_happens_and_the_next_session_releases_it() -> None:
    done = losing()
    assert states(done) == ["active", "active", "halted", "active", "active", "active"]
    outcome = {row: reason for row, reason, _ in verdicts(done)[1:]}
    assert outcome == {
        0: "admitted",
        1: "admitted",
        2: "daily_loss_halt",
        3: "admitted",
        4: "admitted",
        5: "admitted",
    }
    assert done.state.account["halted_sessions"][0] == 1


def test_a_manual_release_waits_for_a_person() -> None:
    done = losing(halt_release="manual")
    assert states(done) == ["active", "active", "halted", "halted", "halted", "halted"]
    armed = losing(halt_release="manual", commands=[(4, "arm")])
    assert states(armed) == ["active", "active", "halted", "halted", "active", "active"]
    assert [reason for row, reason, _ in verdicts(armed)[1:]] == [
        "admitted",
        "admitted",
        "daily_loss_halt",
        "daily_loss_halt",
        "admitted",
        "admitted",
    ]


def test_a_halt_cancels_working_entries_and_planned_adds() -> None:
    bars = bars_of({"A": DROP, "B": flat(10, 6)})
    done = run(
        bars,
        {"qty": 1_000.0, "stop": 50.0, "add_r": 0.02, "add_fraction": 0.1},
        {"symbol": "B", "qty": 1.0, "entry": "limit", "limit_price": 5.0, "stop": 1.0},
        risk=LOOSE.replace(daily_loss_limit=2.0, leverage=2.0),
    )
    assert events(done)[-1] == (2, "cancelled", "halt")
    assert len(fills(done)) == 1
    assert not math.isfinite(done.state.positions["next_add"][0])


def test_a_halt_flattens_at_the_next_open_where_it_should() -> None:
    done = losing(daily_loss_action="flatten")
    assert (1, 3, "daily_loss", 97) in trades(done)
    deep = losing(max_drawdown_pct=2.2, drawdown_action="flatten")
    assert states(deep)[2:] == ["halted"] * 4
    assert (1, 3, "drawdown", 97) in trades(deep)


def test_a_drawdown_halt_stays_until_a_person_arms() -> None:
    done = losing(max_drawdown_pct=2.2)
    assert states(done) == ["active", "active", "halted", "halted", "halted", "halted"]
    assert [reason for _, reason, _ in verdicts(done)][-1] == "drawdown_halt"
    armed = losing(max_drawdown_pct=2.2, commands=[(4, "arm")])
    assert states(armed)[4:] == ["active", "active"]


def test_the_loss_of_a_session_is_measured_from_the_last_mark_of_the_one_before() -> None:
    # three sessions of three bars; 1.5 % down in each, never 2 % within one, then 2 % in one
    ts = np.array(
        [(18_000 + t // 3) * 86_400_000_000_000 + (14 + t % 3) * 3_600_000_000_000 for t in range(9)]
    )
    prices = made(100, 100, 100, 99.3, 98.6, 98.6, 98.0, 97.4, 96.3)
    done = run(
        bars_of(prices, ts=ts), {"qty": 1_000.0, "stop": 50.0}, risk=LOOSE.replace(daily_loss_limit=2.0)
    )
    # 98,600 at the end of the second session; 96,300 is 2.33 % less, 97,400 is 1.22 %
    assert states(done) == ["active"] * 8 + ["halted"]


@pytest.mark.thorough
def test_halts_follow_from_the_equity_alone() -> None:
    # whatever the run: halted from the bar whose mark is so far below the last one of the session before
    counted: Counter[str] = Counter()

    @drawn(100, 25)
    @given(
        shapes(most_bars=80).map(resting),
        st.sampled_from([0.2, 0.5, 1.0]),
        st.sampled_from(["next_session", "manual"]),
    )
    def hold(c: Configuration, limit: float, release: str) -> None:
        limits = LOOSE.replace(daily_loss_limit=limit, halt_release=release, risk_per_trade_pct=5.0)
        rules = {**c.rules, "risk": limits, "costs": Costs(commission_per_share=0.01)}
        done = Run(c.bars, c.signals, **rules)
        done.advance()
        log = done.result().raw.equity
        baseline, halted, session = c.cash, False, c.bars.session_no[0]
        for row in range(len(c.bars)):
            if c.bars.session_no[row] != session:
                session, baseline = c.bars.session_no[row], float(log["equity"][row - 1])
                halted = halted and release == "manual"
            if 1 - log["equity"][row] / baseline >= limit / 100:
                counted["starts"] += not halted
                halted = True
            expected = codes.STATE_HALTED if halted else codes.STATE_ACTIVE
            assert log["state"][row] == expected
        assert not halted or log["state"][-1] == codes.STATE_HALTED

    hold()
    print(counted)
    assert counted["starts"] > many_or_few(50, 20)


@pytest.mark.parametrize("release", ["next_session", "manual"])
def test_a_persons_kill_latches_until_armed(release: str) -> None:
    done = losing(halt_release=release, commands=[(1, "kill")])
    assert states(done) == ["active"] + ["halted"] * 5
    assert [reason for _, reason, _ in verdicts(done)][2:] == ["killed"] * 5
    armed = losing(halt_release=release, commands=[(1, "kill"), (3, "reduce"), (4, "arm")])
    assert states(armed) == ["active", "halted", "halted", "halted", "active", "active"]
    assert [reason for row, reason, _ in verdicts(armed) if row >= 4] == ["admitted", "admitted"]


@pytest.mark.parametrize("row", [2, 3])
def test_a_persons_reduce_outlives_a_daily_loss_halt(row: int) -> None:
    done = losing(commands=[(row, "reduce")])
    assert states(done) == ["active", "active", "halted", "reducing", "reducing", "reducing"]
    assert verdicts(done)[-1][1] == "reducing"
    assert states(losing(commands=[(row, "reduce"), (5, "arm")]))[5] == "active"


@pytest.mark.thorough
def test_killed_or_reducing_the_account_cancels_what_works_and_admits_nothing() -> None:
    @drawn(60, 15)
    @given(configurations(most_bars=60), st.sampled_from(["kill", "reduce"]), st.floats(0, 0.9))
    def hold(c: Configuration, kind: str, share: float) -> None:
        from simulator.commands import Command

        row = int(share * len(c.bars))
        command = Command(c.bars.index[row], kind)
        done = Run(c.bars, c.signals, commands=[command], **c.rules)
        done.advance()
        raw = done.result().raw
        later = raw.verdicts[raw.verdicts["row"] >= row]
        assert not np.isin(later["reason"], (codes.REASON_ADMITTED, codes.REASON_SHRUNK)).any()
        assert not np.isin(
            raw.fills["kind"][raw.fills["row"] >= row], (codes.KIND_ENTRY, codes.KIND_ADD)
        ).any()
        assert (raw.equity["state"][row:] != codes.STATE_ACTIVE).all()
        assert done.state.account["n_orders"][0] == 0
        if kind == "kill":
            assert (raw.equity["state"][row:] == codes.STATE_HALTED).all()

    hold()


@pytest.mark.parametrize("kind", ["kill", "reduce", "daily_loss", "drawdown"])
@pytest.mark.parametrize(
    "way", ["stop", "target", "trail", "breakeven", "time", "close", "close_at", "close_all", "signal"]
)
def test_exits_work_in_every_state(kind: str, way: str) -> None:
    # A position of A; on row 3 the account is halted, by B's loss or by a person; on row 4 A leaves.
    a = made(100, 100, (100, 106, 100, 104), 104, (104, 104, 104, 104), 104)
    plans: dict[str, dict[str, Any]] = {
        "stop": {"stop": 95.0},
        "target": {"stop": 50.0, "target": 110.0},
        "trail": {"trail_amount": 6.0},
        "breakeven": {"stop": 95.0, "breakeven_r": 1.0},
        "time": {"stop": 50.0, "max_bars": 3},
    }
    moves = {
        "stop": (104, 104, 94, 96),
        "target": (104, 111, 104, 111),
        "trail": (104, 104, 99, 99),
        "breakeven": (104, 104, 99, 99),
    }
    a[4] = moves.get(way, a[4])
    b = made(100, 100, 100, 90 if kind in ("daily_loss", "drawdown") else 100, 90, 90)
    limits = LOOSE.replace(
        daily_loss_limit=2.0 if kind == "daily_loss" else 90.0,
        halt_release="manual",
        max_drawdown_pct=2.0 if kind == "drawdown" else None,
    )
    commands: list[tuple[Any, ...]] = [(3, kind)] if kind in ("kill", "reduce") else []
    if way == "close_all":
        commands.append((4, "close_all"))
    elif way == "close":
        commands.append((4, "close", "A"))
    elif way == "close_at":
        commands.append((4, "close", "A", 103.5))
    rows: list[dict[str, Any]] = [
        {"symbol": "A", "qty": 10.0, **plans.get(way, {"stop": 50.0})},
        {"symbol": "B", "qty": 400.0, "stop": 1.0},
    ]
    if way == "signal":
        rows.append({"symbol": "A", "row": 3, "side": 0})
    done = run(bars_of({"A": a, "B": b}), *rows, risk=limits, commands=commands)
    assert states(done)[3] == ("reducing" if kind == "reduce" else "halted")
    reason, price = {
        "stop": ("stop", 95),
        "target": ("target", 110),
        "trail": ("trail", 100),
        "breakeven": ("breakeven", 100),
        "time": ("time", 104),
        "signal": ("signal", 104),
        "close": ("manual", 104),
        "close_at": ("manual", 103.5),
        "close_all": ("manual", 104),
    }[way]
    assert (1, 4, reason, price) in trades(done)


# Cooldown
FALLS = made(100, 100, (100, 100, 94, 95), 95, 95, 95, 95, 95, 95, 95)


def test_a_cooldown_starts_with_the_loss_and_lasts_its_bars() -> None:
    bars = bars_of({"A": FALLS, "B": flat(100, 10)})
    rows = [{"row": row, "symbol": "B", "qty": 1.0, "stop": 1.0} for row in range(2, 9)]
    done = run(
        bars,
        {"qty": 1.0, "stop": 95.0},
        *rows,
        risk=LOOSE.replace(cooldown_losses=1, cooldown_bars=3),
        conventions=Conventions(same_side="add"),
    )
    assert [reason for _, reason, _ in verdicts(done)[1:]] == ["cooldown"] * 3 + ["admitted"] * 4


def test_a_cooldown_counts_losses_in_a_row() -> None:
    bars = bars_of({"A": FALLS, "B": FALLS, "C": flat(100, 10)})
    one = {"qty": 1.0, "stop": 95.0}
    late = {"row": 3, "symbol": "C", "qty": 1.0, "stop": 1.0}
    limits = LOOSE.replace(cooldown_losses=2, cooldown_bars=5)
    assert verdicts(run(bars, one, late, risk=limits))[-1][1] == "admitted"
    assert verdicts(run(bars, one, {**one, "symbol": "B"}, late, risk=limits))[-1][1] == "cooldown"


def test_a_loss_at_a_close_starts_its_cooldown_there_though_the_account_is_idle_after() -> None:
    bars = bars_of(made(100, 100, 95, 95, 95, 95, 95, 95, 95, 95))
    limits = LOOSE.replace(cooldown_losses=1, cooldown_bars=3)
    plan = {"qty": 1.0, "stop": 50.0}
    for row, reason in ((4, "cooldown"), (5, "admitted"), (8, "admitted")):
        done = run(bars, {**plan, "max_bars": 2, "exit": "close"}, {**plan, "row": row}, risk=limits)
        assert trades(done)[0] == (1, 2, "time", 95)
        assert verdicts(done)[1] == (row, reason, 1.0 if reason == "admitted" else 0.0)
