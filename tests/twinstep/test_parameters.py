"""Parameters and grids as they are typed."""

from __future__ import annotations

import pytest

from simulator.errors import ConfigError
from twinstep.parameters import Value, grid_size, parse_grid, parse_parameters


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=10", 10),
        ("a=-3", -3),
        ("a=2.5", 2.5),
        ("a=1e-3", 0.001),
        ("a=true", True),
        ("a=False", False),
        ("a=none", None),
        ("a=long", "long"),
        ("a = 5 ", 5),
        ("a=x=y", "x=y"),
    ],
)
def test_a_value_is_read_as_what_it_looks_like(text: str, value: Value) -> None:
    parsed = parse_parameters([text])["a"]
    assert parsed == value
    assert type(parsed) is type(value)


def test_a_dash_in_a_name_is_an_underscore() -> None:
    assert parse_parameters(["stop-atr=2"]) == {"stop_atr": 2}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=5:15:5", [5, 10, 15]),
        ("a=5:16:5", [5, 10, 15]),
        ("a=5:5:1", [5]),
        ("a=0.1:0.3:0.1", [0.1, 0.2, 0.3]),
        ("a=1.0:2:0.5", [1.0, 1.5, 2.0]),
        ("a=1.0:2.0:1.0", [1.0, 2.0]),
        ("a=-2:2:2", [-2, 0, 2]),
        ("a=5,10,20", [5, 10, 20]),
        ("a=long,both", ["long", "both"]),
        ("a=none,2.5", [None, 2.5]),
        ("a=7", [7]),
    ],
)
def test_a_grid_is_a_range_with_both_ends_a_list_or_one_value(text: str, values: list[Value]) -> None:
    parsed = parse_grid([text])["a"]
    assert parsed == values
    assert [type(value) for value in parsed] == [type(value) for value in values]


def test_the_size_of_a_grid_is_the_product() -> None:
    assert grid_size(parse_grid(["a=1:10:1", "b=1,2,3"])) == 30


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        (["a"], "CLI_PARAM"),
        (["=3"], "CLI_PARAM"),
        (["a="], "CLI_PARAM"),
        (["a=1", "a=2"], "CLI_PARAM"),
        (["a=5:50"], "CLI_RANGE"),
        (["a=50:5:5"], "CLI_RANGE"),
        (["a=5:50:0"], "CLI_RANGE"),
        (["a=5:50:-1"], "CLI_RANGE"),
        (["a=0:nan:1"], "CLI_RANGE"),
        (["a=0:inf:1"], "CLI_RANGE"),
        (["a=0:1:0.0000001"], "CLI_GRID"),
        (["a=1:2000:1", "b=1:2000:1"], "CLI_GRID"),
    ],
)
def test_what_is_no_parameter_is_refused(texts: list[str], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_grid(texts)
    assert caught.value.code == code
