"""What a session at a broker says of plan and fact: at its end, in `twinstep status`, and in its proof."""

from __future__ import annotations

import json
from pathlib import Path

from tests.live.following.scripted import write_bars
from tests.twinstep.conftest import Cli
from tests.twinstep.test_cli_live import JOURNAL, STRATEGY
from twinstep.fact_lines import stored_fact


def test_status_shows_what_is_held_beside_the_plan(cli: Cli, tmp_path: Path) -> None:
    line = ("live", "--strategy", STRATEGY, "--data", str(write_bars(tmp_path / "bars")))
    played = cli(*line, "--bars", "6", "--json")
    assert played.code == 0, played.err
    there = json.loads(played.out)["broker"]["positions"]
    fact = stored_fact(JOURNAL, "live")
    assert fact is not None
    assert {one.symbol: (one.quantity, one.stop) for one in fact.positions} == {
        one["symbol"]: (one["quantity"], one["stop"]) for one in there
    }
    shown = cli("status")
    assert "plan equity" in shown.out
    assert "held: at paper paper, as last recorded" in shown.out
    assert len(json.loads(cli("status", "--json").out)["fact"]["positions"]) == len(there)
    # the only session is the one that is meant
    assert "session live in " in cli("parity").out
    trades = json.loads(cli("parity", "--json").out)["trades"]["trades"]
    assert all(one["begins"].endswith("+00:00") for one in trades)


def test_a_paper_session_has_no_other_fact(cli: Cli) -> None:
    assert cli("paper", "--strategy", "sma-cross", "--bars", "3").code == 0
    assert stored_fact(JOURNAL, "paper") is None
    assert "plan equity" not in cli("status").out
