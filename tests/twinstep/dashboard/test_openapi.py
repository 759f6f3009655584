"""Whatever is sent to any address that the description names, the server answers and does not break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error

from live.kill_switch import KillSwitch, switch_folder
from tests.budget import many_or_few
from tests.twinstep.dashboard.conftest import Client
from twinstep.dashboard import Dashboard

OPERATIONS = (
    "GET /", "GET /now", "GET /state", "GET /queue", "GET /queue/live", "GET /health", "POST /do/kill",
    "POST /do/arm", "POST /do/close", "POST /do/link", "POST /do/requests/{request_id}/approve",
    "POST /do/requests/{request_id}/reject",
    "GET /performance", "GET /learning", "GET /learning/parameters", "GET /system", "GET /system/live",
    "GET /options", "GET /options/live",
    "GET /runs", "GET /runs/compare", "GET /runs/{run_id}", "GET /runs/{run_id}/report",
    "POST /do/parameters/roll-back", "POST /do/parameters/{number}/approve",
    "POST /do/parameters/{number}/reject",
    "GET /journal", "GET /trades/{number}", "GET /trades/{number}/live", "POST /do/trades/{number}/lesson",
    "POST /do/trades/{number}/note", "POST /do/trades/{number}/tag", "POST /do/trades/{number}/mistake",
)  # fmt: skip


@pytest.fixture(scope="module")
def described(journal: Path) -> dict[str, Any]:
    schema = schemathesis.openapi.from_asgi("/openapi.json", Dashboard(journal).app)
    found: list[Any] = list(schema.get_all_operations())
    return {one.ok().label: one.ok() for one in found}


def test_every_operation_is_tried(described: dict[str, Any]) -> None:
    assert set(described) == set(OPERATIONS)


@pytest.mark.thorough
@pytest.mark.parametrize("label", OPERATIONS)
def test_nothing_that_is_sent_breaks_the_server(described: dict[str, Any], label: str) -> None:
    @settings(
        max_examples=many_or_few(many=100, few=10),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described[label].as_strategy())
    def sent(case: Any) -> None:
        case.call_and_validate(checks=[not_a_server_error])

    sent()


def test_the_description_names_everything_that_does_something(client: Client) -> None:
    paths = client.ask("/openapi.json").json["paths"]
    assert {path for path, methods in paths.items() if "post" in methods} == {
        "/do/kill", "/do/arm", "/do/close", "/do/link", "/do/requests/{request_id}/approve",
        "/do/requests/{request_id}/reject",
        "/do/parameters/roll-back", "/do/parameters/{number}/approve", "/do/parameters/{number}/reject",
        "/do/trades/{number}/lesson", "/do/trades/{number}/note", "/do/trades/{number}/tag",
        "/do/trades/{number}/mistake",
    }  # fmt: skip


@pytest.fixture(autouse=True)
def armed(journal: Path) -> Iterator[None]:
    yield
    switch = KillSwitch(switch_folder(journal), arm_fresh=False)
    if switch.state != "ACTIVE":
        switch.arm("ada", "the test is over")
