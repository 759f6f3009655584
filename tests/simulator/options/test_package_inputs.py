"""What `make_legs` and `make_rules` take, and what they refuse instead of cutting it to something else."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

from simulator.errors import SignalError
from simulator.options.packages import make_legs, make_rules

PUT: list[Any] = [(-1, "put", 95.0)]
DAY = 18_278
"""2020-01-17 in days since 1970."""


@pytest.mark.parametrize(
    "expiry",
    [DAY, float(DAY), "2020-01-17", datetime.date(2020, 1, 17), np.datetime64("2020-01-17"), ["2020-01-17"]],
)
def test_an_expiry_is_days_or_a_date(expiry: Any) -> None:
    assert make_legs([PUT], expiry=expiry)["expiry"].tolist() == [[DAY] * 4]


def test_expiries_may_differ_by_package_and_by_leg() -> None:
    assert make_legs([PUT, PUT], expiry=["2020-01-17", "2020-01-18"])["expiry"][:, 0].tolist() == [
        DAY,
        DAY + 1,
    ]
    assert make_legs([PUT], expiry=[[DAY, DAY + 1, 0, 0]])["expiry"].tolist() == [[DAY, DAY + 1, 0, 0]]


@pytest.mark.parametrize("expiry", ["soon", DAY + 0.5, [DAY, DAY, DAY], None, np.nan])
def test_what_is_no_expiry_is_refused(expiry: Any) -> None:
    with pytest.raises(SignalError, match="session date") as error:
        make_legs([PUT], expiry=expiry)
    assert error.value.code == "SIGNAL_PACKAGE"


@pytest.mark.parametrize(
    ("leg", "said"),
    [
        ((-1, "put"), "side, kind, strike"),
        ((-1, "put", 95.0, 1, 1), "side, kind, strike"),
        ((-1, "put", "low"), "strike"),
        ((-1, "put", np.nan), "strike"),
        ((-1, "put", 95.0, 1.5), "whole number"),
        ((-1, "put", 95.0, np.nan), "whole number"),
        ((-1, "put", 95.0, 0), "whole number"),
        ((-1, "put", 95.0, "2"), "whole number"),
    ],
)
def test_legs_that_are_none_are_refused(leg: Any, said: str) -> None:
    with pytest.raises(SignalError, match=said):
        make_legs([[leg]], expiry=DAY)


def test_whole_ratios_may_be_floats() -> None:
    legs: list[Any] = [(-1, "put", 95.0, 2.0), (1, "put", 90.0, np.int64(3))]
    assert make_legs([legs], expiry=DAY)["ratio"].tolist() == [[2, 3, 0, 0]]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"naked": 2}, "0 .no. or 1"),
        ({"physical": 0.5}, "0 .no. or 1"),
        ({"dte_exit": 2.5}, "whole number"),
        ({"delta_exit": 30}, "0.30"),
        ({"multiplier": 0}, "above 0"),
        ({"stop_loss": "twice"}, "one number"),
        ({"stop_loss": [1.0, 1.0, 1.0]}, "one for each of 2"),
        ({"profit_target": np.nan}, "0 .off. or more"),
    ],
)
def test_rules_that_would_be_cut_or_never_hold_are_refused(rules: dict[str, Any], said: str) -> None:
    with pytest.raises(SignalError, match=said) as error:
        make_rules(2, **rules)
    assert error.value.code == "SIGNAL_PACKAGE"
