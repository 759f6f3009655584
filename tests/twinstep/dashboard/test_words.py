"""How figures are written: one way on all pages."""

from __future__ import annotations

import math

import pytest

from twinstep.console import plain_times
from twinstep.dashboard.words import factor, money, percent, price, quantity, signed, stamp, to_minute


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (percent(45.5), "45.5\N{NO-BREAK SPACE}%"), (percent(-1234.56, 2), "−1,234.56\N{NO-BREAK SPACE}%"),
        (percent(-0.001), "0.0\N{NO-BREAK SPACE}%"), (money(-0.001), "0.00"),
        (percent(None), "–"), (percent(math.nan), "–"),
        (price(0.7), "0.70"), (price(0.12345), "0.1235"), (price(0.0), "0.00"), (price(-0.5), "−0.50"),
        (price(0.00001234), "0.00001234"), (price(16.5), "16.50"), (price(-1570.0), "−1,570.00"),
        (price(1.0), "1.00"), (price(0.99999), "1.00"),
        (quantity(1694), "1,694"), (quantity(1_234_567), "1,234,567"), (quantity(-0.25), "−0.25"),
        (quantity(1000), "1,000"), (quantity(0), "0"), (money(-5.0), "−5.00"), (signed(-0.001), "0.00"),
        (factor(3.8), "3.80"), (factor(251.53), "above 20"), (factor(math.inf), "above 20"),
        (factor(20.0), "20.00"), (factor(None), "–"), (factor(math.nan), "–"),
        (plain_times("ada at 2026-11-22T08:38:03.094219+00:00: x"), "ada at 2026-11-22 08:38:03 UTC: x"),
        (plain_times("until 2026-02-31T08:38:03+00:00 or 12T"), "until 2026-02-31T08:38:03+00:00 or 12T"),
        (stamp(1_768_928_400_123_456_789), "2026-01-20 17:00:00 UTC"),
        (to_minute(1_768_928_400_123_456_789), "2026-01-20 17:00"),
        (to_minute(86_400_000_000_000), "1970-01-02"), (to_minute(None), "–"),
    ],
)  # fmt: skip
def test_a_figure_is_written_so(shown: str, wanted: str) -> None:
    assert shown == wanted
