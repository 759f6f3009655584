"""The private PostgreSQL server of the journal's tests, for what `optimize` keeps on one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def _of_journal() -> ModuleType:
    # test folders are no packages, so it is loaded by its path
    path = Path(__file__).resolve().parents[1] / "journal" / "conftest.py"
    spec = importlib.util.spec_from_file_location("journal_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_journal = _of_journal()
postgres_server: pytest.FixtureDef[str] = _journal.postgres_server
postgres_url: pytest.FixtureDef[str] = _journal.postgres_url
