"""Pictures of every page, of a demonstration that has something on each, or why there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.errors import ConfigError, MissingExtraError
from tests.twinstep.conftest import Cli
from tests.twinstep.dashboard.conftest import BROWSER, Client
from twinstep.dashboard import Dashboard, pictures
from twinstep.dashboard.demonstration import NAME, make_demonstration
from twinstep.dashboard.drawn import PAGES


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demonstration(tmp_path_factory.mktemp("demonstration"))


def test_a_demonstration_has_something_on_every_page(demonstration: Path) -> None:
    assert make_demonstration(demonstration.parent) == demonstration
    with Dashboard(demonstration, session=NAME) as served:
        client = Client(served).log_in()
        for path, name in PAGES:
            text = client.ask(path).body
            assert "cannot be read" not in text, name
            assert 'class="card' in text, name
        assert client.ask("/queue").body.count('class="card request"') == 2
        assert "2.50 : 1" in client.ask("/queue").body
        assert client.ask("/runs").body.count("/runs/") >= 2


def test_a_machine_without_a_browser_is_told_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINSTEP_CHROMIUM", "/no/such/browser")
    with pytest.raises(MissingExtraError) as caught:
        pictures.take_pictures(tmp_path / "desk.db", tmp_path / "pictures")
    assert caught.value.code == "DASHBOARD_BROWSER"
    assert not (tmp_path / "pictures").exists()


def test_a_demonstration_has_its_own_journal(cli: Cli) -> None:
    assert "[CLI_EXCLUSIVE]" in cli("dashboard", "--demo", "--journal", "desk.db").err


@pytest.mark.slow
def test_every_page_is_photographed_in_both_sizes_and_themes(demonstration: Path, tmp_path: Path) -> None:
    if BROWSER is None:
        pytest.skip("no Chromium here")
    told: list[Any] = []
    found = pictures.take_pictures(demonstration, tmp_path / "pictures", session=NAME, tell=told.append)
    assert found == told
    names = {one.name.rsplit("-", 2)[0] for one in found}
    assert {"now", "review-queue", "journal", "trade", "run", "compare", "login"} <= names
    assert len(found) == 4 * len(names)
    assert all(one.stat().st_size > 5_000 for one in found)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        pictures.take_pictures(demonstration, tmp_path / "file" / "pictures")
    assert caught.value.code == "CLI_WRITE"
