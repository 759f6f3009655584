"""Earnings dates as known: announced, moved, expected; never from the future."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import Bars
from simulator.bars.clock import calendar_sessions
from simulator.errors import DataError, UnknownNameError
from strategies.earnings import expected_earnings, known_earnings, near_earnings

DAY = 86_400_000_000_000
FIRST = 16_437  # 2015-01-02


def make(rows: int = 260, actions: Any = None) -> Bars:
    sessions = calendar_sessions("XNYS", FIRST, FIRST + 2 * rows + 10)[:rows]
    panel = np.full((rows, 2, 5), 100.0)
    return Bars.from_arrays(("A", "B"), sessions * DAY, panel, actions=actions)


def day(text: str) -> int:
    return int(np.datetime64(text, "D").astype(np.int64))


def blocked(bars: Bars, days: int, shift: int = 7, column: int = 0) -> list[str]:
    near = near_earnings(bars, column, days, shift)
    return [str(np.datetime64(int(session), "D")) for session in bars.session[near]]


def test_an_announced_date_is_exact_on_both_sides_from_the_day_it_is_known() -> None:
    bars = make().with_earnings({"A": [("2015-04-21", "2015-04-01")]})
    assert blocked(bars, 3)[:5] == ["2015-04-20", "2015-04-21", "2015-04-22", "2015-04-23", "2015-04-24"]
    # known the day before: nobody could have kept away earlier
    late = make().with_earnings({"A": [("2015-04-21", "2015-04-20")]})
    assert blocked(late, 10)[0] == "2015-04-20"
    assert blocked(bars, 10)[0] == "2015-04-13"
    assert blocked(bars, 3, column=1) == []


def test_without_an_announcement_a_quarter_after_the_last_is_expected_give_or_take() -> None:
    bars = make(actions=[("A", "2015-04-21", "earnings")])
    # 91 days later is 2015-07-21, and a week to either side of it
    for days, shift, first, last in (
        (3, 0, "2015-07-20", "2015-07-24"),  # 18 and 19 are a weekend
        (3, 7, "2015-07-13", "2015-07-31"),
        (0, 7, "2015-07-14", "2015-07-28"),
    ):
        expected = [text for text in blocked(bars, days, shift) if "2015-06" < text < "2015-09"]
        assert (expected[0], expected[-1]) == (first, last)


def test_an_announcement_takes_the_place_of_what_was_expected() -> None:
    actions = [("A", "2015-04-21", "earnings")]
    bars = make(actions=actions).with_earnings({"A": [("2015-07-30", "2015-07-15")]})
    found = blocked(bars, 2)
    # expected until the announcement: 14 to 28 July less two days; exact from its session on
    assert [text for text in found if text.startswith("2015-07")] == [
        "2015-07-13", "2015-07-14", "2015-07-28", "2015-07-29", "2015-07-30", "2015-07-31",
    ]  # fmt: skip
    # and the next quarter is expected after the date announced, 2015-10-29
    october = [text for text in found if "2015-09" < text < "2015-12"]
    assert (october[0], october[-1]) == ("2015-10-20", "2015-11-06")


def test_a_moved_date_counts_from_the_day_it_was_moved() -> None:
    dates = [("2015-04-21", "2015-03-20"), ("2015-04-28", "2015-04-20")]
    found = [text for text in blocked(make().with_earnings({"A": dates}), 1) if text < "2015-06"]
    # on the 20th the 21st is no more, and nobody knew of the 28th on the 17th
    assert found == ["2015-04-27", "2015-04-28", "2015-04-29"]


def test_earnings_that_nobody_recorded_are_still_expected_a_quarter_later() -> None:
    found = blocked(make(actions=[("A", "2015-01-21", "earnings")]), 0, 3)
    starts = [text for text in found if text[5:7] in ("04", "07", "10")]
    assert {text[:7] for text in starts} == {"2015-04", "2015-07", "2015-10"}


FORMS: list[Any] = [
    {"A": [("2015-04-21", "2015-04-01"), ("2015-07-21", "2015-07-01")]},
    pd.DataFrame(
        {
            "symbol": ["A", "A"],
            "date": pd.to_datetime(["2015-04-21", "2015-07-21"]),
            "known_at": pd.to_datetime(["2015-04-01", "2015-07-01"]),
        }
    ),
    {"A": [(dt.date(2015, 7, 21), dt.date(2015, 7, 1)), (dt.date(2015, 4, 21), np.datetime64("2015-04-01"))]},
]


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_the_table_say_the_same(form: Any) -> None:
    bars = make().with_earnings(form)
    dates, known = known_earnings(bars, 0)
    assert dates.tolist() == [day("2015-04-21"), day("2015-07-21")]
    assert known.tolist() == [day("2015-04-01"), day("2015-07-01")]


def test_the_table_of_actions_takes_the_column_too() -> None:
    table = pd.DataFrame(
        {
            "symbol": ["A", "A", "B"], "date": ["2015-04-21", "2015-06-01", "2015-04-21"],
            "kind": ["earnings", "dividend", "earnings"], "value": [np.nan, 0.5, np.nan],
            "known_at": ["2015-04-01", None, None],
        }
    )  # fmt: skip
    bars = make(actions=table)
    assert known_earnings(bars, 0)[1].tolist() == [day("2015-04-01")]
    assert known_earnings(bars, 1)[1].tolist() == [day("2015-04-21")]
    rows = [("A", "2015-04-21", "earnings", np.nan, "2015-04-01"), {"symbol": "B", "date": "2015-04-21",
             "kind": "earnings", "known_at": "2015-04-02"}]  # fmt: skip
    assert known_earnings(make(actions=rows), 1)[1].tolist() == [day("2015-04-02")]


def test_a_time_of_day_counts_from_the_next_session_and_a_holiday_too() -> None:
    stamp = dt.datetime(2015, 4, 1, 21, 30, tzinfo=dt.UTC)
    for known, session in (
        (stamp, "2015-04-02"), ("2015-04-01T21:30:00", "2015-04-02"),
        (pd.Timestamp("2015-04-01 09:00"), "2015-04-02"), ("2015-04-03", "2015-04-06"),  # Good Friday
        (np.datetime64("2015-04-01T10:00"), "2015-04-02"),
    ):  # fmt: skip
        bars = make().with_earnings({"A": [("2015-04-21", known)]})
        assert known_earnings(bars, 0)[1].tolist() == [day(session)], known


def test_what_was_announced_before_the_bars_begin_is_known_on_the_first() -> None:
    early = make().with_earnings({"A": [("2015-01-20", "2014-12-01"), ("2014-10-20", "2014-10-01")]})
    assert known_earnings(early, 0)[1].tolist() == [FIRST, FIRST]
    assert "2015-01-20" in blocked(early, 0)
    whole = make().with_earnings({"A": [("2015-04-21", "2015-03-02")]})
    later = whole[60:]  # from 2015-03-31
    assert str(np.datetime64(int(later.session[0]), "D")) == "2015-03-31"
    assert near_earnings(later, 0, 5).tolist() == near_earnings(whole, 0, 5)[60:].tolist()
    assert known_earnings(whole[90:], 0)[0].size == 0  # over and forgotten, as all that lies before


def test_announcements_change_the_fingerprint_and_are_no_action_on_prices() -> None:
    bars = make()
    told = bars.with_earnings({"A": [("2015-04-21", "2015-04-01")]})
    moved = bars.with_earnings({"A": [("2015-04-22", "2015-04-01")]})
    assert len({bars.fingerprint, told.fingerprint, moved.fingerprint}) == 3


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"A": [("2015-04-21", "soon")]}, "soon"),
        ({"A": [("never", "2015-04-01")]}, "never"),
        ({"A": [("1969-04-21", "2015-04-01")]}, "1970"),
        ([("2015-04-21", "2015-04-01")], "mapping of symbol"),
    ],
)
def test_dates_that_cannot_be_read_are_errors(wrong: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as error:
        make().with_earnings(wrong)
    assert error.value.code == "DATA_ACTION"


def test_only_earnings_are_announced_and_only_of_known_symbols() -> None:
    with pytest.raises(DataError, match="only earnings"):
        make(actions=[("A", "2015-04-21", "split", 2.0, "2015-04-01")])
    with pytest.raises(UnknownNameError):
        make().with_earnings({"C": ["2015-04-21"]})


DATES = st.lists(
    st.tuples(st.integers(FIRST - 100, FIRST + 300), st.integers(0, 120)), min_size=0, max_size=6
)


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(given_dates=DATES, days=st.integers(0, 45), shift=st.integers(0, 30), cut=st.integers(1, 199))
def test_nothing_that_becomes_known_later_changes_the_past(
    given_dates: list[tuple[int, int]], days: int, shift: int, cut: int
) -> None:
    def text(number: int) -> str:
        return str(np.datetime64(number, "D"))

    table = {"A": [(text(date), text(date - lead)) for date, lead in given_dates]}
    bars = make(200).with_earnings(table)
    whole = near_earnings(bars, 0, days, shift)
    assert whole[:cut].tolist() == near_earnings(bars[:cut], 0, days, shift).tolist()
    # the same from a table that was never told more
    until = text(int(bars.session[cut - 1]))
    told = {"A": [(date, known) for date, known in table["A"] if known <= until]}
    assert whole[:cut].tolist() == near_earnings(make(200).with_earnings(told), 0, days, shift)[:cut].tolist()


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(last=st.integers(0, 400), shift=st.integers(0, 30), linger=st.integers(0, 45))
def test_what_is_expected_is_the_first_quarter_that_is_not_over(last: int, shift: int, linger: int) -> None:
    sessions = np.arange(last, last + 500)
    span = expected_earnings([last], [last], sessions, shift_days=shift, linger_days=linger)[-1]
    assert span.projected
    assert span.active.all()
    assert ((span.first + span.last) // 2 - last > 0).all()
    assert (((span.first + span.last) // 2 - last) % 91 == 0).all()
    assert (span.last + linger >= sessions).all()
    early = span.first + shift - 91 > last
    assert (span.last[early] - 91 + linger < sessions[early]).all()
