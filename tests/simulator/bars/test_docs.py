"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

MODULES = ("actions", "clock", "guard", "load", "panel", "resample", "synthetic", "yahoo")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(
        import_module(f"simulator.bars.{name}"), optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert result.failed == 0
    assert result.attempted > 0 or name == "yahoo"


def test_public_names_exist() -> None:
    import simulator.bars as bars

    for name in bars.__all__:
        assert getattr(bars, name) is not None
    with pytest.raises(AttributeError):
        _ = bars.nothing
