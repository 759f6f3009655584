"""The example: it runs in seconds, trades both strategies, and calls what it prints modelled."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "premium.py"


def test_the_example_runs_and_says_that_its_options_are_modelled(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out
    for name in ("short-put-spread", "iron-condor"):
        section = printed.split(f"{name} (modelled)")[1].split("(modelled)")[0]
        assert "OPTIONS MODELLED" in section
        assert "profit_target" in section
        assert "modelled trades by IV rank" in section
