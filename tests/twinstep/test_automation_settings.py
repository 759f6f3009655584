"""An automation configured by the file: its limits, costs and keys, and nothing of the file unheeded."""

from __future__ import annotations

from pathlib import Path

import pytest

from live.automation.config import AutomationConfig, AutomationMode, ExecutionMode
from simulator.errors import ConfigError
from twinstep.automation_settings import automation_config
from twinstep.config import load_settings


def written(folder: Path, text: str) -> Path:
    file = folder / "twinstep.toml"
    file.write_text(text)
    return file


def test_without_a_file_it_has_the_published_defaults() -> None:
    assert automation_config(load_settings(None)).limits() == AutomationConfig().limits()
    assert automation_config(load_settings(None)).live_key is False


def test_limits_costs_and_keys_are_those_of_the_file(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "[account]\ncash = 50000\n[risk]\nrisk_per_trade_pct = 1.0\n[costs]\npreset = 'ibkr-fixed'\n"
        "[live]\nkey = true\n",
    )
    config = automation_config(load_settings(file), trailing_stop_percent=4.0)
    assert (config.account_size, config.risk_per_trade_pct) == (50_000.0, 1.0)
    assert (config.trailing_stop_percent, config.live_key, config.allow_full_auto_live) == (4.0, True, False)
    assert config.rules()["costs"].commission_per_share > 0.0


def test_full_auto_with_real_money_needs_its_own_key(tmp_path: Path) -> None:
    both = {"automation_mode": AutomationMode.FULL_AUTO, "execution_mode": ExecutionMode.LIVE}
    with pytest.raises(ConfigError) as failure:
        automation_config(load_settings(written(tmp_path, "[live]\nkey = true\n")), **both)
    assert failure.value.code == "LIVE_FULL_AUTO"
    settings = load_settings(written(tmp_path, "[live]\nkey = true\nfull_auto = true\n"))
    assert automation_config(settings, **both).allow_full_auto_live


@pytest.mark.parametrize("text", ["[risk]\nleverage = 2.0\n", "[risk]\nenabled = false\n"])
def test_what_an_automation_has_not_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as failure:
        automation_config(load_settings(written(tmp_path, text)))
    assert failure.value.code == "LIVE_CONFIG"
