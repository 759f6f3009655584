"""What holds in every run, whatever the rules: money and quantities add up, fills lie inside their bars."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine import Run
from simulator.kernel import codes
from simulator.kernel.state import to_bytes
from simulator.signals import Signals
from simulator.types import OrderState, Reason, allowed_transitions
from tests.budget import many_or_few
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.drivers import pieces
from tests.simulator.kernel.generate import Configuration, Shape, build, configurations, shapes

Records = npt.NDArray[np.void]


def whole(c: Configuration) -> Run:
    done = Run(c.bars, c.signals, commands=c.commands, **c.rules)
    done.advance()
    return done


def raw_log(done: Run, name: str) -> Records:
    records: Records = getattr(done.result().raw, name)
    return records


# Money


@pytest.mark.thorough
def test_cash_and_equity_add_up_on_every_bar() -> None:
    counted: Counter[str] = Counter()

    @drawn(120, 20)
    @given(configurations(most_bars=80))
    def hold(c: Configuration) -> None:
        done = Run(c.bars, c.signals, commands=c.commands, **c.rules)
        multiplier = c.bars.instruments["multiplier"]
        flows = fees = deposits = dividends = 0.0
        for _ in range(len(c.bars)):
            done.step()
            logs = done.books.take()
            account = done.state.account[0]
            for fill in logs["fills"]:
                flows -= fill["side"] * fill["qty"] * fill["price"] * multiplier[fill["sym"]]
                fees += fill["fee"]
            for event in logs["events"]:
                if event["reason"] == codes.REASON_DEPOSIT:
                    deposits += event["price"]
                elif event["reason"] == codes.REASON_DIVIDEND:
                    dividends += _dividend(event, done)
            scale = 1e-9 * (c.cash + abs(flows) + account["gross"] + abs(float(account["cash"])))
            assert math.isclose(account["fees"], fees, abs_tol=scale)
            assert math.isclose(account["deposits"], deposits, abs_tol=scale)
            expected = c.cash + deposits + flows - fees + account["interest"] + account["dividends"]
            assert math.isclose(account["cash"], expected, abs_tol=scale)
            value = 0.0
            for slot in done.state.open_slots["slot"][: account["n_positions"]]:
                position = done.state.positions[slot]
                value += position["side"] * position["qty"] * position["mark"] * position["multiplier"]
            assert math.isclose(account["equity"], account["cash"] + value, abs_tol=scale)
            assert logs["equity"]["equity"][0] == account["equity"]
            assert logs["equity"]["cash"][0] == account["cash"]
            counted["bars in the market"] += account["n_positions"] > 0
            counted["bars with debt"] += account["cash"] < 0
            counted["dividends"] += bool(account["dividends"])
            counted["interest"] += bool(account["interest"])

    hold()
    print(counted)
    least = min(counted[name] for name in ("bars in the market", "dividends", "interest"))
    assert least > 20


def _dividend(event: np.void, done: Run) -> float:
    return float(event["price"] * event["qty"])


@pytest.mark.thorough
def test_marks_are_the_last_closes() -> None:
    @drawn(60, 12)
    @given(shapes(most_bars=60).map(lambda shape: build(dataclasses.replace(shape, actions=0))))
    def hold(c: Configuration) -> None:
        done = Run(c.bars, c.signals, commands=c.commands, **c.rules)
        good = _good(c)
        last = np.full(len(c.bars.symbols), np.nan)
        for t in range(len(c.bars)):
            done.step()
            last = np.where(good[t], c.bars.close[t], last)
            for slot in done.state.open_slots["slot"][: done.state.account["n_positions"][0]]:
                position = done.state.positions[slot]
                if good[t, position["sym"]] or position["entry_row"] < t:
                    expected = last[position["sym"]]
                    # held from before any good bar of its own: a price that was given
                    assert position["mark"] == expected or math.isnan(expected) or c.shape.fixed

    hold()


def _good(c: Configuration) -> npt.NDArray[np.bool_]:
    opens, high, low, close = (c.bars.panel[:, :, k] for k in range(4))
    with np.errstate(invalid="ignore"):
        good = (
            (low > 0) & (low <= opens) & (low <= close) & (opens <= high) & (close <= high) & (high < np.inf)
        )
    return np.asarray(good)


@pytest.mark.thorough
def test_the_trades_are_the_fills_summed_up() -> None:
    @drawn(100, 20)
    @given(shapes(most_bars=80).map(lambda shape: build(dataclasses.replace(shape, raw=False))))
    def hold(c: Configuration) -> None:
        done = whole(c)
        fills, trades = raw_log(done, "fills"), raw_log(done, "trades")
        live = done.state.open_slots["slot"][: done.state.account["n_positions"][0]]
        marks = {int(p["id"]): float(p["mark"]) for p in done.state.positions[live]}
        for trade in trades:
            mine = fills[fills["position"] == trade["id"]]
            multiplier = float(c.bars.instruments["multiplier"][trade["sym"]])
            cash = -(mine["side"] * mine["qty"] * mine["price"]).sum() * multiplier
            open_qty = float((mine["side"] * mine["qty"]).sum())
            if trade["exit_reason"] == codes.EXIT_END_OF_DATA:
                cash += open_qty * marks[int(trade["id"])] * multiplier
            else:
                assert abs(open_qty) <= 2e-9 * trade["qty"]
            scale = 1e-9 * float((mine["qty"] * mine["price"]).sum() * multiplier)
            assert math.isclose(trade["fees"], mine["fee"].sum(), abs_tol=scale)
            assert math.isclose(
                trade["pnl"],
                cash - trade["fees"],
                abs_tol=2e-9 * trade["qty"] * trade["entry_price"] * multiplier + scale,
            )
            assert trade["mae"] <= 0 <= trade["mfe"]
        total = sum(trades["pnl"]) + float(
            done.state.account["interest"][0] + done.state.account["deposits"][0]
        )
        equity = float(done.state.account["equity"][0])
        assert math.isclose(equity - c.cash, total, abs_tol=1e-7 * (c.cash + abs(equity)))

    hold()


# Quantities


@pytest.mark.thorough
def test_no_bracket_sells_more_than_it_holds() -> None:
    counted: Counter[str] = Counter()

    @drawn(120, 20)
    @given(shapes(most_bars=80).map(lambda shape: build(dataclasses.replace(shape, raw=False))))
    def hold(c: Configuration) -> None:
        done = whole(c)
        fills = raw_log(done, "fills")
        closed = {
            int(t["id"]): t for t in raw_log(done, "trades") if t["exit_reason"] != codes.EXIT_END_OF_DATA
        }
        held: dict[int, float] = defaultdict(float)
        side: dict[int, int] = {}
        for fill in fills:
            position = int(fill["position"])
            assert fill["qty"] > 0
            if fill["kind"] in (codes.KIND_ENTRY, codes.KIND_ADD):
                side.setdefault(position, int(fill["side"]))
                assert fill["side"] == side[position]
                held[position] += fill["qty"]
            else:
                assert fill["side"] == -side[position]
                held[position] -= fill["qty"]
                counted[f"exits of kind {int(fill['kind'])}"] += 1
            assert held[position] >= -1e-9 * fill["qty"]
        for position, qty in held.items():
            if position in closed:
                assert abs(qty) <= 2e-9 * closed[position]["qty"]
        live = {
            int(p["id"]): float(p["qty"])
            for p in done.state.positions[
                done.state.open_slots["slot"][: done.state.account["n_positions"][0]]
            ]
        }
        still = {position for position in held if position not in closed}
        assert still == set(live)
        for position, qty in live.items():
            assert math.isclose(qty, held[position], rel_tol=1e-9)

    hold()
    assert len(counted) >= 4


@pytest.mark.thorough
def test_the_lists_hold_what_is_live_and_the_counts_agree() -> None:
    @drawn(80, 14)
    @given(configurations(most_bars=80))
    def hold(c: Configuration) -> None:
        done = Run(c.bars, c.signals, commands=c.commands, **c.rules)
        for _ in range(len(c.bars)):
            done.step()
            state = done.state
            for slots, records, count in (
                (state.open_slots, state.positions, state.account["n_positions"][0]),
                (state.order_slots, state.orders, state.account["n_orders"][0]),
            ):
                used = slots["slot"][:count]
                assert len(set(used.tolist())) == count
                assert (records["live"][used] == 1).all()
                assert records["listed"].sum() == count
                assert sorted(records["id"][used]) == list(records["id"][used])  # oldest first
                name = "n_positions" if records is state.positions else "n_orders"
                held = np.bincount(records["sym"][used], minlength=len(state.symbols))
                assert list(state.symbols[name]) == list(held)
            assert (state.positions["qty"][state.positions["live"] == 1] > 0).all()

    hold()


# Prices


@pytest.mark.thorough
def test_no_fill_lies_outside_its_bar_before_slippage() -> None:
    counted: Counter[int] = Counter()

    # fixed entries hold a price from elsewhere, inside the bar or not
    @drawn(150, 25)
    @given(shapes(most_bars=80).map(lambda shape: build(dataclasses.replace(shape, fixed=False))))
    def hold(c: Configuration) -> None:
        good = _good(c)
        for fill in raw_log(whole(c), "fills"):
            t, sym, rule = int(fill["row"]), int(fill["sym"]), int(fill["rule"])
            counted[rule] += 1
            if rule == codes.PRICE_GIVEN:
                assert fill["slippage"] == 0
                continue
            assert good[t, sym]
            opens, high, low, close, _ = c.bars.panel[t, sym]
            before = fill["price"] - fill["side"] * fill["slippage"]
            tolerance = 1e-9 * high
            assert low - tolerance <= before <= high + tolerance
            assert fill["slippage"] >= 0
            if not c.shape.detail:
                if rule == codes.PRICE_OPEN:
                    assert math.isclose(before, opens, abs_tol=tolerance)
                elif rule == codes.PRICE_CLOSE:
                    assert math.isclose(before, close, abs_tol=tolerance)
            if rule == codes.PRICE_LIMIT:
                assert fill["slippage"] == 0

    hold()
    print(counted)
    assert {
        codes.PRICE_OPEN,
        codes.PRICE_CLOSE,
        codes.PRICE_STOP,
        codes.PRICE_LIMIT,
        codes.PRICE_OPEN_GAP,
    } <= set(counted)


@pytest.mark.thorough
def test_volume_caps_hold_over_all_fills_of_a_bar() -> None:
    counted: Counter[str] = Counter()

    def capped(shape: Shape) -> Configuration:
        rules = {**shape.conventions, "volume_cap": 0.2}
        return build(
            dataclasses.replace(shape, conventions=rules, volume=100.0, fixed=False, commands=0, actions=0)
        )

    @drawn(80, 14)
    @given(shapes(most_bars=80).map(capped))
    def hold(c: Configuration) -> None:
        used: dict[tuple[int, int], float] = defaultdict(float)
        for fill in raw_log(whole(c), "fills"):
            used[int(fill["row"]), int(fill["sym"])] += fill["qty"]
            # what rounding leaves of a cap is no volume; the smallest order of these shapes is 1e-4
            assert fill["qty"] > 1e-9
        for (t, sym), qty in used.items():
            assert qty <= 0.2 * c.bars.volume[t, sym] * (1 + 1e-9) + 1e-9
            counted["at the cap"] += qty > 0.19 * c.bars.volume[t, sym]

    hold()
    assert counted["at the cap"] > many_or_few(50, 10)


# Orders


@pytest.mark.thorough
def test_order_events_follow_the_allowed_transitions() -> None:
    counted: Counter[str] = Counter()
    notices = (Reason.FILL_BUYING_POWER, Reason.TRIGGERED)

    @drawn(150, 25)
    @given(configurations(most_bars=80))
    def hold(c: Configuration) -> None:
        done = whole(c)
        now: dict[int, OrderState] = {}
        for event in raw_log(done, "events"):
            if event["kind"] != codes.KIND_ENTRY:
                continue
            order, state = int(event["order"]), OrderState(int(event["state"]))
            if order not in now:
                assert state is OrderState.PENDING
            elif Reason(int(event["reason"])) in notices and state not in (
                OrderState.CANCELLED,
                OrderState.FILLED,
            ):
                assert state == now[order]
            else:
                assert state in allowed_transitions(now[order]), (now[order], state)
                counted[f"{now[order].label} to {state.label}"] += 1
            now[order] = state
        working = {
            int(done.state.orders[slot]["id"]): OrderState(int(done.state.orders[slot]["state"]))
            for slot in done.state.order_slots["slot"][: done.state.account["n_orders"][0]]
        }
        unfinished = {order: state for order, state in now.items() if allowed_transitions(state)}
        assert unfinished == working

    hold()
    print(counted)
    assert {
        "submitted to filled",
        "submitted to partially_filled",
        "submitted to expired",
        "pending to cancelled",
    } <= set(counted)


@pytest.mark.thorough
def test_an_order_fills_no_more_than_it_was_granted() -> None:
    @drawn(80, 14)
    @given(shapes(most_bars=80).map(lambda shape: build(dataclasses.replace(shape, raw=False))))
    def hold(c: Configuration) -> None:
        done = whole(c)
        granted = {int(v["order"]): float(v["granted"]) for v in raw_log(done, "verdicts") if v["order"] >= 0}
        filled: dict[int, float] = defaultdict(float)
        for fill in raw_log(done, "fills"):
            if fill["kind"] == codes.KIND_ENTRY:
                filled[int(fill["order"])] += fill["qty"]
        for order, qty in filled.items():
            assert qty <= granted[order] * (1 + 1e-9)

    hold()


# Halts


@pytest.mark.thorough
def test_a_halted_account_never_increases_its_exposure() -> None:
    counted: Counter[str] = Counter()

    def nervous(shape: Shape) -> Configuration:
        risk = {**(shape.risk or {}), "daily_loss_limit": 0.3, "max_drawdown_pct": 4.0}
        return build(dataclasses.replace(shape, risk=risk, commands=6, halts=True))

    @drawn(120, 20)
    @given(shapes(most_bars=80).map(nervous))
    def hold(c: Configuration) -> None:
        done = whole(c)
        equity, fills = raw_log(done, "equity"), raw_log(done, "fills")
        increasing = set(fills["row"][np.isin(fills["kind"], (codes.KIND_ENTRY, codes.KIND_ADD))].tolist())
        halted = equity["state"] != codes.STATE_ACTIVE
        for row in range(1, len(c.bars)):
            if halted[row - 1] and halted[row]:
                assert row not in increasing
                counted["halted bars"] += 1
                counted["exits while halted"] += int((fills["row"] == row).sum())
        verdicts = raw_log(done, "verdicts")
        judged_halted = verdicts[halted[verdicts["row"]]]
        assert not np.isin(judged_halted["reason"], (codes.REASON_ADMITTED, codes.REASON_SHRUNK)).any()

    hold()
    print(counted)
    assert counted["halted bars"] > many_or_few(500, 100)
    assert counted["exits while halted"] > many_or_few(20, 4)


# Independence


@pytest.mark.thorough
def test_the_order_of_symbols_changes_nothing_where_they_share_nothing() -> None:
    counted: Counter[str] = Counter()

    def ample(shape: Shape) -> Configuration:
        return build(
            dataclasses.replace(
                shape, risk=None, cash=1e12, commands=0, symbols=max(2, shape.symbols), fixed=False
            )
        )

    @drawn(80, 14)
    @given(shapes(most_bars=80).map(ample), st.randoms(use_true_random=False))
    def hold(c: Configuration, random: Any) -> None:
        c = _independent(c)
        names = list(c.bars.symbols)
        random.shuffle(names)
        one = whole(c)
        other = whole(dataclasses.replace(c, bars=c.bars.select(names)))
        for name in ("fills", "trades"):
            a, b = _by_symbol(one, name), _by_symbol(other, name)
            assert a.keys() == b.keys()
            for symbol in a:
                assert a[symbol] == b[symbol]
                counted[name] += len(a[symbol])
        np.testing.assert_allclose(
            raw_log(one, "equity")["equity"], raw_log(other, "equity")["equity"], rtol=1e-12
        )

    hold()
    assert counted["fills"] > many_or_few(300, 60)


def _independent(c: Configuration) -> Configuration:
    # No group reaches over symbols, nothing takes all the cash, and no slot is scarce.
    records = c.signals.records.copy()
    records["oco"] = 0
    records["qty"] = np.where(np.isfinite(records["qty"]), records["qty"], 10.0)
    signals = Signals(
        records,
        c.signals.symbols,
        tags=c.signals.tags,
        strategies=c.signals.strategies,
        sectors=c.signals.sectors,
    )
    conventions = c.conventions.replace(same_side="ignore")
    return dataclasses.replace(c, signals=signals, conventions=conventions)


def _by_symbol(done: Run, name: str) -> dict[str, list[bytes]]:
    # Rows of a log by symbol, without the numbers that count over all symbols.
    records = raw_log(done, name)
    kept = [
        field
        for field in records.dtype.names or ()
        if field not in ("id", "order", "position", "signal", "sym", "sector")
    ]
    rows: dict[str, list[bytes]] = defaultdict(list)
    for record in records:
        rows[done.symbols[record["sym"]]].append(b"".join(record[field].tobytes() for field in kept))
    return dict(rows)


@pytest.mark.thorough
def test_an_order_that_never_fills_changes_nothing_else() -> None:
    # bars that touch nothing are stepped a shorter way, which a resting order of another symbol closes
    counted: Counter[str] = Counter()

    def lonely(shape: Shape) -> Configuration:
        conventions = {**shape.conventions}
        return build(
            dataclasses.replace(
                shape,
                risk=None,
                conventions=conventions,
                symbols=2,
                cash=1e9,
                commands=0,
                actions=0,
                fixed=False,
                bad=0.0,
            )
        )

    @drawn(120, 20)
    @given(shapes(most_bars=100).map(lonely))
    def hold(c: Configuration) -> None:
        c = _independent(c)
        records = c.signals.records
        first = records[records["sym"] == 0]
        alone = _with_records(c, first)
        far = np.flatnonzero(_good(c)[:, 1])
        if not len(far):
            return
        row = int(far[0])
        never = Signals.from_arrays(c.bars, [row], [1], 1, entry="limit", limit_price=0.05, qty=1.0).records
        both = _with_records(
            c, np.concatenate([never, first])[np.argsort(np.append(row, first["row"]), kind="stable")]
        )
        one, other = whole(alone), whole(both)
        assert _by_symbol(one, "fills") == _by_symbol(other, "fills")
        assert _by_symbol(one, "trades") == _by_symbol(other, "trades")
        for name in ("equity", "cash", "gross", "state"):
            assert raw_log(one, "equity")[name].tobytes() == raw_log(other, "equity")[name].tobytes()
        a, b = one.result().raw.metrics.copy(), other.result().raw.metrics.copy()
        for metrics in (a, b):
            # an idle account notes its peak when it wakes up
            metrics["signals"] = metrics["admitted"] = metrics["peak_session"] = 0
        different = [name for name in a.dtype.names or () if a[name].tobytes() != b[name].tobytes()]
        assert not different
        counted["fills"] += len(raw_log(one, "fills"))
        assert other.state.account["n_orders"][0] >= 1

    hold()
    print(counted)
    assert counted["fills"] > many_or_few(300, 60)


def _with_records(c: Configuration, records: Records) -> Configuration:
    signals = Signals(
        records,
        c.signals.symbols,
        tags=c.signals.tags,
        strategies=c.signals.strategies,
        sectors=c.signals.sectors,
    )
    return dataclasses.replace(c, signals=signals)


@pytest.mark.thorough
def test_a_run_again_is_the_same_and_the_past_does_not_know_the_future() -> None:
    @drawn(80, 14)
    @given(configurations(most_bars=60), st.floats(0.2, 0.9))
    def hold(c: Configuration, share: float) -> None:
        cut = max(1, int(share * len(c.bars)))
        full = Run(c.bars, c.signals, commands=c.commands, **c.rules)
        full.advance(cut)
        bars, signals, commands = pieces(c, [0, cut])[0]
        short = Run(bars, signals, commands=commands, **c.rules)
        short.advance()
        assert to_bytes(short.state) == to_bytes(full.state)
        again = Run(c.bars, c.signals, commands=c.commands, **c.rules)
        again.advance(cut)
        assert to_bytes(again.state) == to_bytes(full.state)

    hold()
