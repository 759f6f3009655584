"""Requests and differences in the journal: what was decided, when, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from live.automation.config import ExecutionMode
from live.review_queue import ReviewRequest
from tests.live.desks import Desk, order


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, mode=ExecutionMode.MANUAL_REVIEW)
    desk.reconciler.start()
    yield desk
    desk.database.close()


def ask(desk: Desk, number: int) -> str:
    request = desk.manager.submit_order(order(number), price=100.0)
    assert isinstance(request, ReviewRequest)
    return request.request_id


def test_how_long_a_person_took_and_what_came_of_it_is_in_the_journal(desk: Desk) -> None:
    approved, rejected, expired, void = (ask(desk, number) for number in (1, 2, 3, 4))
    desk.run()
    assert [row["state"] for row in desk.log.reviews("request")] == ["pending"] * 4
    desk.wait(120.0)
    assert desk.manager.approve_request(approved, "ada").accepted
    desk.wait(60.0)
    assert desk.manager.reject_request(rejected, "too wild").accepted
    desk.wait(900.0)
    assert desk.manager.get_pending_requests() == []
    last = ask(desk, 5)
    desk.manager.engage_kill_switch("storm", "ada")
    desk.run()
    rows = {row["review"]: row for row in desk.log.reviews("request")}
    assert {name: rows[name]["state"] for name in (approved, rejected, expired, void, last)} == {
        approved: "approved", rejected: "rejected", expired: "expired", void: "expired", last: "void",
    }  # fmt: skip
    waited = rows[approved]["decided_ts"] - rows[approved]["created_ts"]
    assert waited == timedelta(seconds=120)
    assert rows[rejected]["decided_ts"] - rows[rejected]["created_ts"] == timedelta(seconds=180)
    assert (rows[approved]["decided_by"], rows[approved]["outcome"]) == ("ada", "confirmed")
    assert (rows[rejected]["note"], rows[approved]["price"]) == ("too wild", 100.0)
    assert rows[approved]["data"]["order"]["client_order_id"] == "o1"


def test_copies_are_made_once_and_a_restart_makes_no_second(desk: Desk) -> None:
    name = ask(desk, 1)
    desk.manager.approve_request(name, "ada")
    desk.run()
    desk.restart()
    desk.run()
    (row,) = desk.log.reviews("request")
    assert (row["review"], row["state"]) == (name, "approved")
    with desk.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM reviews").scalar_one() == 1


def test_a_difference_is_copied_with_its_cause_and_its_end(desk: Desk) -> None:
    desk.memory.hold("TSLA", 5.0)
    desk.run()
    (row,) = desk.log.reviews("difference")
    assert (row["cause"], row["state"], row["symbol"], row["decided_ts"]) == (
        "foreign_position", "open", "TSLA", None,
    )  # fmt: skip
    desk.wait(60.0)
    desk.accept_all()
    desk.run()
    (row,) = desk.log.reviews("difference")
    assert (row["state"], row["decided_by"]) == ("accepted", "ada")
    assert row["decided_ts"] - row["created_ts"] == timedelta(seconds=60)
