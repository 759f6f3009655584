"""Strategy parameters on the command line: `fast=10`, `fast=5:50:5`, `trail=none,2.5,3`.

A value is read as a number or a truth value where it looks like one, else as text. A range names both ends
and includes both; it counts in decimals, so that 0.1:0.3:0.1 has three values and not two.

>>> parse_grid(["fast=5:15:5", "slow=50,100"])
{'fast': [5, 10, 15], 'slow': [50, 100]}
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from math import prod
from typing import Final

from simulator.errors import ConfigError

__all__ = ["MAX_LANES", "Value", "grid_size", "parse_grid", "parse_parameters"]

Value = int | float | bool | str | None

MAX_LANES: Final = 1_000_000
"""Most parameter sets of one sweep; more is usually a range with a step far too small."""

_WORDS: Final[dict[str, Value]] = {"true": True, "false": False, "none": None}


def parse_parameters(texts: Iterable[str]) -> dict[str, Value]:
    """Return single values by name."""
    return {name: _value(value) for name, value in _pairs(texts)}


def parse_grid(texts: Iterable[str]) -> dict[str, list[Value]]:
    """Return the values to try by name: a range `low:high:step`, a list `a,b,c`, or one value."""
    grid = {name: _values(name, value) for name, value in _pairs(texts)}
    if grid_size(grid) > MAX_LANES:
        raise ConfigError(
            f"the grid has {grid_size(grid):,} parameter sets, above {MAX_LANES:,}; are the steps too small?",
            code="CLI_GRID",
        )
    return grid


def grid_size(grid: dict[str, list[Value]]) -> int:
    """Return how many combinations a grid has."""
    return prod(len(values) for values in grid.values())


def _pairs(texts: Iterable[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name or not value:
            raise ConfigError(f"--param {text!r} is not NAME=VALUE, as --param fast=10", code="CLI_PARAM")
        if name in dict(pairs):
            raise ConfigError(f"--param {name} is given twice", code="CLI_PARAM")
        pairs.append((name.replace("-", "_"), value))
    return pairs


def _value(text: str) -> Value:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _values(name: str, text: str) -> list[Value]:
    parts = text.split(":")
    if len(parts) == 3:
        return _range(name, text, parts)
    if len(parts) == 2 and all(isinstance(_value(part), (int, float)) for part in parts):
        raise ConfigError(f"--param {name}={text} lacks a step; write low:high:step", code="CLI_RANGE")
    return [_value(part.strip()) for part in text.split(",") if part.strip()]


def _range(name: str, text: str, parts: list[str]) -> list[Value]:
    try:
        low, high, step = (Decimal(part) for part in parts)
    except InvalidOperation:
        return [text]  # a text with two colons
    if not all(number.is_finite() for number in (low, high, step)) or step <= 0 or high < low:
        raise ConfigError(
            f"--param {name}={text} is no range; low:high:step needs low <= high and a step above 0",
            code="CLI_RANGE",
        )
    count = int((high - low) / step) + 1
    if count > MAX_LANES:
        raise ConfigError(
            f"--param {name}={text} has {count:,} values; is the step too small?", code="CLI_GRID"
        )
    whole = all(
        number == number.to_integral_value() and "." not in part
        for number, part in zip((low, high, step), parts, strict=True)
    )
    return [int(low + i * step) if whole else float(low + i * step) for i in range(count)]
