"""Limits, costs and conventions as values: what they say of themselves, and where a warning points."""

from __future__ import annotations

import inspect
import pickle
from dataclasses import fields

import pytest

from simulator import Conventions, Costs, RiskLimits
from simulator.errors import TwinstepWarning

VALUES = [RiskLimits(leverage=2.0), Costs(commission_min=1.0), Conventions(volume_cap=0.1)]
Value = RiskLimits | Costs | Conventions


@pytest.mark.parametrize("value", VALUES)
def test_the_signature_names_every_field_and_takes_them_by_name_only(value: Value) -> None:
    parameters = inspect.signature(type(value)).parameters
    assert list(parameters) == [field.name for field in fields(value)]
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("value", VALUES)
def test_a_value_survives_pickling_and_copying(value: Value) -> None:
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - the test's own bytes
    assert value.replace() == value


def test_a_suspicious_percent_points_at_the_line_that_wrote_it() -> None:
    with pytest.warns(TwinstepWarning, match="was 2 % meant") as warned:
        RiskLimits(risk_per_trade_pct=0.02)
    assert warned[0].filename == __file__
