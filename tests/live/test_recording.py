"""What is recorded comes back as it was: every array, every name; and damage is refused."""

from __future__ import annotations

import dataclasses
import random as chance
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.sessions.frames import decode_frame, encode_frame
from live.sessions.history import History
from live.sessions.recording import (
    Piece,
    decode_piece,
    encode_piece,
    pack,
    records_of_commands,
    same_market,
    unpack,
)
from simulator import Bars, load_bars
from simulator.engine import prepare
from simulator.errors import EngineError
from simulator.signals import Signals
from tests.live.sessions import few, time_of
from tests.simulator.kernel.generate import Configuration, configurations
from tests.simulator.kernel.test_package_drivers import with_packages

FIELDS = ("panel", "ts", "session", "session_no", "actions", "instruments")


def equal_bars(one: Bars, other: Bars) -> None:
    assert one.symbols == other.symbols
    assert (one.sectors, one.sector_names, one.raw, one.daily, one.calendar) == (
        other.sectors, other.sector_names, other.raw, other.daily, other.calendar,
    )  # fmt: skip
    for name in FIELDS:
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
    assert one.spread.tobytes() == other.spread.tobytes()
    assert one.open_ts.tolist() == other.open_ts.tolist()
    assert one.close_ts.tolist() == other.close_ts.tolist()
    assert (one.options is None) == (other.options is None)
    if one.options is not None and other.options is not None:
        assert one.options.digest() == other.options.digest()
    assert (one.detail is None) == (other.detail is None)
    if one.detail is not None and other.detail is not None:
        assert one.detail_start.tolist() == other.detail_start.tolist()
        equal_bars(one.detail, other.detail)


def pieces_of(c: Configuration) -> list[Piece]:
    records = prepare(c.signals, c.bars, c.risk)
    made = []
    for row in range(len(c.bars)):
        mine = records[records["row"] == row].copy()
        mine["row"] = 0
        time = int(c.bars.ts[row])
        commands = [command for command in c.commands if time_of(command) == time]
        signals = Signals(
            mine, c.bars.symbols, tags=c.signals.tags, strategies=c.signals.strategies,
            sectors=c.bars.sector_names, packages=c.signals.packages, legs=c.signals.legs,
        )  # fmt: skip
        made.append(Piece(c.bars[row : row + 1], signals, records_of_commands(commands, c.bars.symbols)))
    return made


@few(15)
@given(configurations(), st.booleans(), st.integers(0, 2**31))
def test_a_piece_comes_back_as_it_was(c: Configuration, options: bool, seed: int) -> None:
    if options:
        c = dataclasses.replace(c, bars=c.bars.replaced(detail=None, detail_start=None))
        c = with_packages(c, seed, 10)
    like = decode_frame(encode_frame(c.bars))
    assert encode_frame(like) == encode_frame(c.bars)
    joined = History(like)
    for piece in pieces_of(c):
        data = encode_piece(piece)
        found = decode_piece(data, like)
        assert encode_piece(found) == data
        equal_bars(piece.bars, found.bars)
        assert same_market(piece.bars, found.bars)
        assert found.signals.records.tobytes() == piece.signals.records.tobytes()
        if len(piece.signals):
            assert found.signals.legs.tobytes() == piece.signals.legs.tobytes()
            assert found.signals.packages.tobytes() == piece.signals.packages.tobytes()
        for name in ("tag", "strategy"):
            table = f"{name[:3]}{name[3:]}s" if name == "tag" else "strategies"
            mine, theirs = getattr(piece.signals, table), getattr(found.signals, table)
            for code in piece.signals.records[name]:
                assert mine[code] == theirs[code]
        assert found.commands.tobytes() == piece.commands.tobytes()
        assert len(found.given_commands()) == len(piece.commands)
        joined.extend(found.bars)
    equal_bars(joined.bars(), c.bars)


@few(10)
@given(configurations(), st.integers(1, 9), st.integers(0, 2**31))
def test_a_history_with_a_limit_is_the_tail_of_one_without(c: Configuration, limit: int, seed: int) -> None:
    if c.bars.detail is None:
        c = with_packages(c, seed, 5)
    like = decode_frame(encode_frame(c.bars))
    history = History(like, limit)
    for row in range(len(c.bars)):
        history.extend(c.bars[row : row + 1])
        assert min(limit + 1, row + 1) <= len(history) <= 2 * limit + 1
        seen = history.until(len(history) - 1)
        assert seen.ts.tolist() == c.bars.ts[max(0, row + 1 - limit) : row + 1].tolist()
        if row % 3 == 2:
            history.forget(1)
            history.extend(c.bars[row : row + 1])
    first = len(c.bars) - len(history)
    expected = c.bars[first:]
    plain = expected.actions[np.isin(expected.actions["row"], c.bars.actions["row"] - first)]
    found = history.bars()
    for name in ("panel", "ts", "session", "session_no"):
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes()
    assert len(found.actions) <= len(plain) + len(c.bars.actions)
    if expected.options is not None and found.options is not None:
        assert found.options.digest() == expected.options.digest()
    if expected.detail is not None and found.detail is not None:
        assert found.detail.panel.tobytes() == expected.detail.panel.tobytes()
        assert found.detail_start.tolist() == expected.detail_start.tolist()


def test_every_damaged_byte_is_noticed() -> None:
    bars = load_bars("synthetic:3x5?seed=1")
    like = decode_frame(encode_frame(bars))
    data = encode_piece(Piece(bars[0:1], Signals.empty(bars), records_of_commands([], ())))
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << chance.Random(at).randrange(8)  # noqa: S311 - of a test
        with pytest.raises(EngineError) as caught:
            decode_piece(bytes(broken), like)
        assert caught.value.code == "LIVE_RECORDING"


def test_records_of_another_release_are_refused() -> None:
    bars = load_bars("synthetic:1x2?seed=1")
    data = encode_frame(bars).replace(b"INSTRUMENT:", b"INSTRUMENX:")
    with pytest.raises(EngineError, match="check sum"):
        unpack(data)
    size, body = data[8:12], data[16:]
    sealed = data[:12] + zlib.crc32(size + body).to_bytes(4, "little") + body
    with pytest.raises(EngineError, match="another release"):
        unpack(sealed)


def test_what_is_no_number_is_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not recorded"):
        pack({"names": np.array(["a", "b"])})


def test_a_bar_of_few_symbols_is_small() -> None:
    bars = load_bars("synthetic:400x3?seed=1")
    panel = bars.panel[:1].copy()
    panel[0, 5:] = np.nan
    tick = bars[:1].replaced(panel=panel)
    like = decode_frame(encode_frame(bars))
    data = encode_piece(Piece(tick, Signals.empty(tick), records_of_commands([], ())))
    assert len(data) < 1_000
    assert decode_piece(data, like).bars.panel.tobytes() == panel.tobytes()
