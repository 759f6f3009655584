"""Corporate actions: accepted forms, placing, inference, and price bases."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.bars import infer_actions, make_actions
from simulator.bars.adjust import adjusted, from_adjusted_close
from simulator.kernel import codes

SESSION = np.array([10, 11, 14, 14, 15])  # 1970-01-11, 12, 15 (two bars), 16
SYMBOLS = ("A", "B")

FORMS: list[Any] = [
    [("A", "1970-01-12", "split", 2.0), ("B", "1970-01-15", "dividend", 0.5)],
    [("A", date(1970, 1, 12), "SPLIT", 2), ("B", datetime(1970, 1, 15, 9, tzinfo=UTC), "Dividend", 0.5)],
    [
        {"symbol": "A", "date": "1970-01-12", "kind": "split", "value": 2},
        {"symbol": "B", "date": np.datetime64("1970-01-15"), "kind": "dividend", "value": 0.5},
    ],
    pd.DataFrame(
        {
            "Symbol": ["B", "A"],
            "Date": pd.to_datetime(["1970-01-15", "1970-01-12"]),
            "Kind": ["dividend", "split"],
            "Value": [0.5, 2.0],
        }
    ),
    {"A": [("1970-01-12", "split", 2.0)], "B": [{"date": "1970-01-15", "kind": "dividend", "value": 0.5}]},
    {
        "A": pd.DataFrame({"date": ["1970-01-12"], "kind": ["split"], "value": [2.0]}),
        "B": [("1970-01-15", "dividend", 0.5)],
    },
]


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_give_the_same_records(form: Any) -> None:
    made = make_actions(form, symbols=SYMBOLS, session=SESSION)
    assert made["row"].tolist() == [1, 2]
    assert made["sym"].tolist() == [0, 1]
    assert made["kind"].tolist() == [codes.ACTION_SPLIT, codes.ACTION_DIVIDEND]
    assert made["value"].tolist() == [2.0, 0.5]
    again = make_actions(made, symbols=SYMBOLS, session=SESSION)
    assert again.tobytes() == made.tobytes()


def test_a_date_without_a_session_moves_to_the_next_and_outside_dates_are_left_out() -> None:
    given = [("A", f"1970-01-{day:02}", "earnings") for day in (10, 11, 13, 16, 17)]
    assert make_actions(given, symbols=SYMBOLS, session=SESSION)["row"].tolist() == [0, 2, 4]


def test_delisting_may_leave_its_price_open() -> None:
    made = make_actions([("A", "1970-01-16", "delisting")], symbols=SYMBOLS, session=SESSION)
    assert made["kind"].tolist() == [codes.ACTION_DELIST]
    assert np.isnan(made["value"][0])


@pytest.mark.parametrize("basis", ["previous_close", "ex_close"])
def test_inference_undoes_adjustment(basis: Any) -> None:
    days = np.arange(8)
    close = np.array([100.0, 101.0, 50.0, 51.0, 52.0, 5.0, 150.0, 152.0])
    close[5:] = [51.0, 153.0, 152.0]  # a merger of three shares into one on day 6
    steps = np.ones(8)
    steps[2] = 2.0
    dividend = 0.75
    steps[4] = 1 / (1 - dividend / close[3]) if basis == "previous_close" else 1 + dividend / close[4]
    steps[6] = 1 / 3
    factor = np.cumprod(steps)
    found = infer_actions(days, close, close * factor, basis=basis)
    assert [(int(day.astype(int)), kind) for day, kind, _ in found] == [
        (2, "split"),
        (4, "dividend"),
        (6, "split"),
    ]
    np.testing.assert_allclose([value for _, _, value in found], [2.0, dividend, 1 / 3])


def test_a_large_special_dividend_is_not_a_split() -> None:
    close = np.array([100.0, 70.0, 70.0])
    found = infer_actions(np.arange(3), close, close * np.array([0.7, 1.0, 1.0]))
    assert [(kind, round(value, 9)) for _, kind, value in found] == [("dividend", 30.0)]


def test_adjusted_returns_are_total_returns() -> None:
    days = np.arange(4)
    raw = np.repeat(np.array([[100.0], [102.0], [50.0], [51.0]]), 5, axis=1)
    events = [(np.datetime64(2, "D"), "split", 2.0), (np.datetime64(2, "D"), "dividend", 1.0)]
    made = adjusted(days, raw, events, "all")
    np.testing.assert_array_equal(made[2:, :4], raw[2:, :4])
    np.testing.assert_allclose(made[1, 3], 51.0 * (1 - 1 / 102))
    np.testing.assert_allclose(made[:2, 4], raw[:2, 4] * 2)
    np.testing.assert_allclose(adjusted(days, raw, events, "splits")[1, 3], 51.0)
    assert adjusted(days, raw, events, "none") is raw


def test_adjusted_close_scales_all_prices_and_is_anchored_at_the_end() -> None:
    values = np.array([[10.0, 12.0, 9.0, 11.0, 100.0], [11.0, 13.0, 10.0, 12.0, 100.0]])
    quoted = from_adjusted_close(np.arange(2), values, np.array([5.5, 6.6]), "all")
    np.testing.assert_allclose(quoted.values[1, :4], values[1, :4])
    np.testing.assert_allclose(quoted.values[0, :4], values[0, :4] * (0.5 / 0.55))
    assert [kind for _, kind, _ in quoted.events] == ["dividend"]
