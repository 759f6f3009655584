"""Tables on narrow terminals: nothing is broken inside a word or a number, and nothing is left out."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinstep import console

NAMES = ["set", "length", "direction", "total_return", "sharpe", "max_drawdown", "trades", "profit_factor"]
ROWS = [["as given", 20, "long", "67.52%", "0.75", "-12.34%", "1,188", "1.83"]]


def shown(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    console.table(NAMES, ROWS)
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_every_word_and_number_is_whole(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(width, monkeypatch, capsys)
    assert all(len(line) <= width for line in text.splitlines())
    words = text.split()
    for cell in [*NAMES, "67.52%", "-12.34%", "1,188", "long"]:
        assert cell in words
    assert words.count("given") == words.count("set")
    assert (words.count("set") == 1) == (width == 200)


def test_a_pipe_gets_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(NAMES, ROWS)
    assert capsys.readouterr().out.split().count("set") == 1


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.integers(1, 24), max_size=12), st.integers(10, 120))
def test_tables_hold_each_column_once_and_fit(least: list[int], width: int) -> None:
    parts = console._parts(least, width)
    assert [index for part in parts for index in part[1:]] == list(range(1, len(least)))
    assert all(part[0] == 0 for part in parts if part)
    for part in parts:
        assert len(part) <= 2 or sum(least[index] + console._GAP for index in part) <= width


def test_prices_keep_the_digits_that_matter() -> None:
    prices = {
        1234.5: "1,234.50",
        8.5644: "8.56",
        0.0: "0.00",
        0.5: "0.50",
        0.12344: "0.1234",
        -0.0123: "-0.0123",
    }
    assert [console.price_text(one) for one in (*prices, None, float("nan"))] == [*prices.values(), "-", "-"]
    assert console.price_text(0.000123449) == "0.0001234"
