"""The configuration file: what it takes, what it refuses, and which value wins."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from simulator.conventions import Conventions
from simulator.costs import Costs
from simulator.errors import TwinstepError, TwinstepWarning
from simulator.risk_limits import RiskLimits
from simulator.types import SignalStrength
from twinstep.config import Settings, load_settings
from twinstep.schema import NONE, SECTIONS, schema
from twinstep.template import template, toml_value


def load(folder: Path, text: str, **keywords: Any) -> Settings:
    path = folder / "twinstep.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, **keywords)


def refused(folder: Path, text: str) -> TwinstepError:
    with pytest.raises(TwinstepError) as caught:
        load(folder, text)
    return caught.value


def test_without_a_file_everything_is_the_default_of_its_class() -> None:
    settings = load_settings(search=False)
    assert settings.risk == RiskLimits()
    assert settings.costs == Costs.preset("zero")
    assert settings.conventions == Conventions.profile("realistic")
    assert settings.account.cash == 100_000.0
    assert settings.path is None
    assert not settings.origins


def test_the_file_that_init_writes_changes_nothing(tmp_path: Path) -> None:
    written, default = load(tmp_path, template()), load_settings(search=False)
    for section in SECTIONS:
        assert getattr(written, section.name) == getattr(default, section.name)


def test_the_file_that_init_writes_has_every_key_with_an_explanation() -> None:
    text = template()
    for section in SECTIONS:
        for key in section.keys.values():
            assert f"{key.name} = {toml_value(key.default)}" in text
            assert key.doc, f"{key.path} has no explanation"


@pytest.mark.parametrize("kind", [RiskLimits, Costs, Conventions])
def test_every_field_of_the_simulators_values_is_a_key(kind: type[Any]) -> None:
    keys = {key for section in SECTIONS if section.fills is kind for key in section.keys}
    assert {field.name for field in dataclasses.fields(kind)} - {"name"} <= keys


def test_every_default_can_be_written_and_read_back(tmp_path: Path) -> None:
    for section in SECTIONS:
        for key in section.keys.values():
            settings = load(tmp_path, f"[{section.name}]\n{key.name} = {toml_value(key.default)}\n")
            assert settings.value(key) == key.default
            assert settings.origins[key.path].endswith("twinstep.toml:2")


def test_values_reach_the_classes(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        [account]
        cash = 50_000
        [risk]
        max_open_positions = 8
        max_correlation = "none"
        min_signal_strength = "strong"
        [costs]
        preset = "ibkr-fixed"
        slippage_bps = 3
        [conventions]
        profile = "vectorbt"
        trail_rule = "path"
        [data]
        symbols = ["AAPL", "MSFT"]
        start = 2005-01-31
        """,
    )
    assert settings.account.cash == 50_000.0
    assert settings.risk is not None
    assert (settings.risk.max_open_positions, settings.risk.max_correlation) == (8, None)
    assert settings.risk.min_signal_strength is SignalStrength.STRONG
    assert (settings.costs.commission_min, settings.costs.slippage_bps) == (1.0, 3.0)
    assert settings.conventions == Conventions.profile("vectorbt").replace(trail_rule="path")
    assert settings.data.symbols == ("AAPL", "MSFT")
    assert settings.data.start == "2005-01-31"


def test_limits_on_greeks_are_keys_of_the_file(tmp_path: Path) -> None:
    text = (
        '[risk]\nmax_net_delta_pct = 60\nmax_theta_pct = 0.3\nmax_vega_pct = "none"\non_greeks = "reject"\n'
    )
    risk = load(tmp_path, text).risk
    assert risk == RiskLimits(max_net_delta_pct=60.0, max_theta_pct=0.3, on_greeks="reject")
    error = refused(tmp_path, "[risk]\nmax_gamma_pct = 0\n")
    assert error.code == "CONFIG_LIMIT_RANGE"
    assert "max_gamma_pct" in str(error)


def test_the_risk_manager_can_be_switched_off(tmp_path: Path) -> None:
    assert load(tmp_path, "[risk]\nenabled = false\n").risk is None


def test_a_flag_goes_before_the_file_and_the_file_before_the_default(tmp_path: Path) -> None:
    text = "[account]\ncash = 5000\n[risk]\nleverage = 2\n"
    settings = load(tmp_path, text, flags={"account.cash": 7000.0}, changes=["risk.max_open_positions=3"])
    assert settings.risk is not None
    assert (settings.account.cash, settings.risk.leverage, settings.risk.max_open_positions) == (
        7000.0,
        2.0,
        3,
    )
    assert settings.risk.risk_per_trade_pct == RiskLimits().risk_per_trade_pct
    assert settings.origins["account.cash"] == "the command line"


def test_a_preset_on_the_command_line_replaces_the_section_of_the_file(tmp_path: Path) -> None:
    text = '[costs]\npreset = "ibkr-fixed"\nslippage_bps = 50\n'
    assert load(tmp_path, text, flags={"costs.preset": "alpaca"}).costs == Costs.preset("alpaca")
    changed = load(tmp_path, text, flags={"costs.preset": "alpaca"}, changes=["costs.slippage_bps=7"])
    assert changed.costs == Costs.preset("alpaca").replace(slippage_bps=7.0)


def test_the_file_in_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twinstep.toml").write_text("[account]\ncash = 1234\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_settings().account.cash == 1234.0
    assert load_settings(search=False).account.cash == 100_000.0


def test_a_fraction_where_percent_is_meant_is_taken_as_written_and_warned_about(tmp_path: Path) -> None:
    with pytest.warns(TwinstepWarning, match=r"CONFIG_PERCENT_LOOKS_LIKE_FRACTION.*was 2 % meant"):
        settings = load(tmp_path, "[risk]\nrisk_per_trade_pct = 0.02\n")
    assert settings.risk is not None
    assert settings.risk.risk_per_trade_pct == 0.02


WRONG = [
    ("[risk]\nmax_open_position = 8\n", "CONFIG_KEY", ":2: ", "Did you mean 'max_open_positions'?"),
    ("[account]\n\nleverage = 2\n", "CONFIG_KEY", ":3: ", "It belongs in [risk]."),
    ("[riks]\nleverage = 2\n", "CONFIG_SECTION", ":1: ", "Did you mean 'risk'?"),
    ("\nleverage = 2\n", "CONFIG_SECTION", ":2: ", "leverage is a key of [risk]."),
    ("risk = 3\n", "CONFIG_SECTION", ":1: ", "write [risk]"),
    ("[risk]\nleverage = \n", "CONFIG_TOML", "twinstep.toml", "is not TOML"),
    ("[risk]\nleverage = 1\nleverage = 2\n", "CONFIG_TOML", "twinstep.toml", "is not TOML"),
    ('[risk]\nleverage = "2"\n', "CONFIG_TYPE", ":2: ", "it must be a number"),
    ("[risk]\nleverage = true\n", "CONFIG_TYPE", ":2: ", "it must be a number"),
    ("[risk]\nmax_open_positions = 2.5\n", "CONFIG_TYPE", ":2: ", "it must be a whole number"),
    ("[risk]\nenabled = 1\n", "CONFIG_TYPE", ":2: ", "it must be true or false"),
    ("[risk]\nhalt_release = 1\n", "CONFIG_TYPE", ":2: ", "it must be a text in quotes"),
    ('[data]\nsymbols = "AAPL"\n', "CONFIG_TYPE", ":2: ", "it must be a list of texts"),
    ("[data]\nsymbols = [1]\n", "CONFIG_TYPE", ":2: ", "it must be a list of texts"),
    ('[risk]\nleverage = "none"\n', "CONFIG_TYPE", ":2: ", "it must be a number"),
    ("[risk]\nleverage = -1\n", "CONFIG_LIMIT_RANGE", ":2: ", "must be above 0"),
    ("[risk]\nmax_open_positions = 0\n", "CONFIG_LIMIT_RANGE", ":2: ", "1 or more"),
    ("[risk]\nleverage = nan\n", "CONFIG_NUMBER", ":2: ", "not a number"),
    ('[risk]\nhalt_release = "never"\n', "CONFIG_POLICY", ":2: ", "next_session or manual"),
    ('[risk]\nmin_signal_strength = "HUGE"\n', "CONFIG_STRENGTH", ":2: ", "VERY_STRONG"),
    ("[risk]\nenabled = false\nleverage = -1\n", "CONFIG_LIMIT_RANGE", ":3: ", "must be above 0"),
    ("[costs]\nslippage_bps = -1\n", "COST_NEGATIVE", ":2: ", "a cost is 0 or more"),
    ("[costs]\nslippage_bps = 9000\n", "COST_TOO_LARGE", ":2: ", "is the unit right?"),
    ('[costs]\npreset = "alpacca"\n', "NAME_COSTS", ":2: ", "Did you mean 'alpaca'?"),
    ('[conventions]\nprofile = "vectorbot"\n', "NAME_PROFILE", ":2: ", "Did you mean 'vectorbt'?"),
    ('[conventions]\ntrail_rule = "pth"\n', "CONFIG_CONVENTION", ":2: ", "Did you mean 'path'?"),
    ("[conventions]\nvolume_cap = 10\n", "CONFIG_VOLUME_CAP", ":2: ", "0 (unlimited) to 1"),
    ("[account]\ncash = 0\n", "CONFIG_CASH", ":2: ", "more than 0"),
    ("[account]\ncash = inf\n", "CONFIG_CASH", ":2: ", "more than 0"),
    ('[data]\nstart = "01/31/2010"\n', "CONFIG_DATE", ":2: ", "a date is written 2010-01-31"),
    ('[data]\nstart = "2010-01-31"\nend = "2009-01-31"\n', "CONFIG_DATES", ":2: ", "is before start"),
    ('[data]\nadjust = "some"\n', "CONFIG_ADJUST", ":2: ", "all, splits, none"),
    ('[data]\nguard = "hope"\n', "CONFIG_GUARD", ":2: ", "raise, drop, note"),
    ('[report]\nexport_format = "xls"\n', "CONFIG_FORMAT", ":2: ", "csv, parquet, json"),
]


@pytest.mark.parametrize(
    ("text", "code", "where", "words"), WRONG, ids=[f"{w[1]}-{i}" for i, w in enumerate(WRONG)]
)
def test_a_wrong_file_is_refused_with_its_place(
    tmp_path: Path, text: str, code: str, where: str, words: str
) -> None:
    error = refused(tmp_path, text)
    assert error.code == code
    assert where in str(error)
    assert words in str(error)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(TwinstepError) as caught:
            load_settings(path)
        assert caught.value.code == "CONFIG_FILE"
    (tmp_path / "twinstep.toml").write_bytes(b"[risk]\nhalt_release = '\xff\xfe'\n")
    with pytest.raises(TwinstepError) as caught:
        load_settings(tmp_path / "twinstep.toml")
    assert caught.value.code == "CONFIG_FILE"


@pytest.mark.parametrize("change", ["risk.leverage", "leverage=2", "risk.levrage=2", "risk=2", "=2"])
def test_a_wrong_change_on_the_command_line_is_refused(change: str) -> None:
    with pytest.raises(TwinstepError) as caught:
        load_settings(search=False, changes=[change])
    assert caught.value.code in ("CONFIG_SET", "CONFIG_KEY", "CONFIG_SECTION")


def test_none_is_how_a_file_takes_a_limit_away(tmp_path: Path) -> None:
    for key in schema()["risk"].keys.values():
        if key.optional:
            assert load(tmp_path, f'[risk]\n{key.name} = "{NONE}"\n').value(key) is None
