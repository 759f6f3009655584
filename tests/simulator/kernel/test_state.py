"""The state as bytes, and logs that fill up: nothing is lost, nothing is taken that does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulator.books import Books
from simulator.conventions import Conventions
from simulator.engine import Run
from simulator.errors import EngineError
from simulator.kernel import codes
from simulator.kernel.dtypes import ACCOUNT, METRICS
from simulator.kernel.state import LOG_NAMES, allocate_logs, allocate_state, from_bytes, to_bytes
from simulator.stepper import Stepper
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.drivers import by_backtest, by_pushes, difference, pieces
from tests.simulator.kernel.generate import Configuration, configurations
from tests.simulator.kernel.market import DAY, bars_of, flat, made, run

few = drawn(40, 10)


# Bytes


@few
@given(configurations(most_bars=60))
def test_a_state_comes_back_from_its_bytes(c: Configuration) -> None:
    done = Run(c.bars, c.signals, commands=c.commands, **c.rules)
    done.advance(len(c.bars) // 2)
    data = to_bytes(done.state)
    back = from_bytes(data)
    assert to_bytes(back) == data
    for ours, theirs in zip(done.state, back, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape


@few
@given(configurations(most_bars=60), st.floats(0.1, 0.9))
def test_a_run_goes_on_from_saved_bytes_as_if_it_had_not_stopped(c: Configuration, share: float) -> None:
    whole = Run(c.bars, c.signals, commands=c.commands, **c.rules)
    whole.advance()
    cut = int(share * len(c.bars))
    assume(0 < cut < len(c.bars))
    (first, second) = pieces(c, [0, cut, len(c.bars)])
    before = Stepper(c.bars, **c.rules)
    before.run(*first)
    saved = to_bytes(before.state)
    after = Stepper(c.bars, state=from_bytes(saved), history=c.bars[:cut], **c.rules)
    after.run(*second)
    assert after.fingerprint() == whole.fingerprint()
    one, two = before.drain(), after.drain()
    for name in ("fills", "verdicts", "events", "equity"):
        assert one[name].tobytes() + two[name].tobytes() == whole.books.log(name).tobytes()


@pytest.fixture
def saved() -> bytes:
    return to_bytes(run(bars_of(flat(100, 5)), {"qty": 1.0, "stop": 95.0}).state)


def test_another_schema_is_refused(saved: bytes) -> None:
    state = from_bytes(saved)
    state.account["schema_version"] = codes.SCHEMA_VERSION + 1
    with pytest.raises(EngineError, match=f"schema {codes.SCHEMA_VERSION + 1}") as caught:
        from_bytes(to_bytes(state))
    assert caught.value.code == "ENGINE_SCHEMA"


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data[:3], id="three bytes"),
        pytest.param(lambda data: data[: len(data) // 2], id="half"),
        pytest.param(lambda data: data[:-1], id="one byte short"),
        pytest.param(lambda data: data + b"\0", id="one byte more"),
        pytest.param(lambda data: b"\1\0\0\0" + b"5", id="no list of shapes"),
        pytest.param(lambda data: b"SQLite format 3\0" * 20, id="another file"),
        pytest.param(lambda data: data.replace(b"(1,)", b"(9,)", 1), id="another shape"),
    ],
)
def test_bytes_that_are_no_state_are_refused(saved: bytes, spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(EngineError) as caught:
        from_bytes(spoil(saved))
    assert caught.value.code in ("ENGINE_STATE", "ENGINE_SCHEMA")


def test_records_have_no_padding_so_that_equal_states_are_equal_bytes() -> None:
    for array in allocate_state(2, 2, 2):
        fields = array.dtype.fields
        assert fields is not None
        assert array.dtype.itemsize == 8 * len(fields)
    assert ACCOUNT.names is not None


def test_what_a_closed_slot_held_is_no_part_of_the_next_position() -> None:
    # the first position uses targets, adds and a trail; the second, in the same slot, nothing
    bars = bars_of(made(100, 100, (100, 112, 80, 90), 100, 100, 100))
    rich = {"stop": 95.0, "target": 110.0, "target2": 120.0, "add_r": 1.0, "trail_amount": 9.0, "max_bars": 9}
    plain = {"row": 3, "qty": 2.0}
    after = run(bars, {**rich, "qty": 1.0}, plain).state
    alone = run(bars, plain).state
    assert after.account["n_positions"] == alone.account["n_positions"] == 1
    different = [
        name
        for name in after.positions.dtype.names or ()
        if after.positions[name][0].tobytes() != alone.positions[name][0].tobytes()
    ]
    assert set(different) <= {"id", "order", "signal"}


# Full logs

NO_METRICS = np.zeros(0, METRICS)
NO_ACCOUNTS = np.zeros(0, ACCOUNT)


def with_rows(books: Books, rows: int) -> None:
    """Give an account logs of so many rows each."""
    books._rows = [rows] * len(LOG_NAMES)
    books._set_logs(allocate_logs(*books._rows))


@few
@given(configurations(most_bars=60), st.integers(1, 40))
def test_a_full_log_is_told_before_anything_changes_and_the_step_resumes(c: Configuration, rows: int) -> None:
    done = Run(c.bars, c.signals, commands=c.commands, **c.rules)
    books = done.books
    with_rows(books, rows)
    make_room, refusals = books._make_room, 0
    before, logged = b"", 0

    def refused(code: int) -> None:
        nonlocal refusals
        if code == codes.STEP_LOG_FULL:
            refusals += 1
            assert to_bytes(done.state) == before
            assert int(books.logs.counts["equity"][0]) == logged
        make_room(code)
        note()

    def note() -> None:
        nonlocal logged
        logged = int(books.logs.counts["equity"][0])

    books._make_room = refused  # type: ignore[method-assign]
    for _ in range(len(c.bars)):
        before = to_bytes(done.state)
        note()
        done.step()
    expected = by_backtest(c)
    # bars on which nothing happens share a row, so a log need not get full
    assert refusals > 0 or all(len(books.written(name)) <= rows for name in LOG_NAMES)
    found = difference(
        expected,
        {**{name: books.log(name) for name in LOG_NAMES if name != "trades"}, "state": to_bytes(done.state)},
    )
    assert not found


@few
@given(configurations(most_bars=60))
def test_tiny_logs_change_nothing_in_the_loop(c: Configuration) -> None:
    expected = by_backtest(c)
    stepper = Stepper(c.bars, **c.rules)
    with_rows(stepper.books, 1)
    for bars, signals, commands in pieces(c, c.cuts):
        stepper.run(bars, signals, commands)
    logs = stepper.drain()
    logs.pop("trades")
    found = difference(expected, {**logs, "state": to_bytes(stepper.state)})
    assert not found


def test_no_event_is_dropped_where_a_bar_has_many_parts() -> None:
    # the price rises from part to part, so that the cash covers less and less of what volume holds back
    parts = 40
    bars = bars_of(made(100, (100, 140, 100, 140, 10.0), (140, 140, 140, 140)))
    ts = int(bars.ts[1]) + (1 + np.arange(parts)) * (DAY // 60)
    finer = bars_of([(100 + k, 101 + k, 100 + k, 101 + k, 0.25) for k in range(parts)], ts=ts)
    rules: dict[str, Any] = {"cash": 10_000.0, "risk": None, "conventions": Conventions(volume_cap=0.1)}
    detail = bars.with_detail(finer)
    roomy = run(detail, {"qty": 100.0}, **rules)
    tight = Run(detail, roomy.signals, **rules)
    with_rows(tight.books, 1)
    for _ in range(len(bars)):
        tight.step()
    assert tight.books.log("events").tobytes() == roomy.books.log("events").tobytes()
    assert tight.books.log("fills").tobytes() == roomy.books.log("fills").tobytes()


@few
@given(configurations(most_bars=60))
def test_without_logs_the_state_is_the_same(c: Configuration) -> None:
    silent = Run(c.bars, c.signals, commands=c.commands, log=False, **c.rules)
    silent.advance()
    assert to_bytes(silent.state) == by_backtest(c)["state"]


# Time


def test_a_bar_that_is_not_later_is_refused_and_changes_nothing() -> None:
    bars = bars_of(flat(100, 4))
    stepper = Stepper(bars, risk=None)
    stepper.push(bars[0:2])
    before = stepper.fingerprint()
    for again in (bars[1:2], bars[0:1]):
        with pytest.raises(EngineError, match="times must rise") as caught:
            stepper.push(again)
        assert caught.value.code == "ENGINE_TIME"
        with pytest.raises(EngineError, match="times must rise"):
            stepper.run(again)
    assert stepper.fingerprint() == before
    stepper.push(bars[2:3])
    assert stepper.state.account["row"][0] == 2


def test_a_bad_bar_counts_as_missing_and_is_told() -> None:
    good = made(100, 100, (100, 100, 90, 91), 91)
    bars = bars_of({"A": good, "B": good})
    panel = bars.panel.copy()
    panel[2, 1, 1] = 80.0  # B: high below the low
    bars = bars.replaced(panel=panel)
    done = Run(
        bars,
        run(bars, {"qty": 1.0, "stop": 95.0}, {"symbol": "B", "qty": 1.0, "stop": 95.0}).signals,
        risk=None,
    )
    assert [done.step() for _ in range(4)] == [
        codes.STEP_OK,
        codes.STEP_OK,
        codes.STEP_BAD_BAR,
        codes.STEP_OK,
    ]
    assert list(done.state.symbols["bad_bars"]) == [0, 1]
    fills = done.result().raw.fills
    assert [(int(f["row"]), int(f["sym"]), float(f["price"])) for f in fills[2:]] == [
        (2, 0, 95.0),
        (3, 1, 91.0),
    ]


def test_the_comparison_sees_a_single_byte() -> None:
    c = _some()
    a, b = by_backtest(c), by_pushes(c)
    assert not difference(a, b)
    fills = a["fills"]
    assert not isinstance(fills, bytes)
    changed = fills.copy()
    changed["price"][-1] = np.nextafter(changed["price"][-1], np.inf)
    assert "fills: the first difference is in row" in difference({**a, "fills": changed}, b)
    assert "fills" in difference({**a, "fills": fills[:-1]}, b)
    assert isinstance(a["state"], bytes)
    assert difference({**a, "state": a["state"][:-1] + b"\7"}, b) == "state: bytes differ"


def _some() -> Configuration:
    found: list[Configuration] = []

    @drawn(30, 30)
    @given(configurations(most_bars=40))
    def look(c: Configuration) -> None:
        if not found and len(by_backtest(c)["fills"]) > 3:
            found.append(c)

    look()
    return found[0]
