"""What a broker tells without being asked.

An update says that something has happened, and never what is true now: streams lose messages. Whoever listens
takes it as a reason to ask sooner; the answer to a question is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BrokerUpdate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUpdate:
    """Something that happened.

    Attributes
    ----------
    kind
        "order", "fill", "position", "connected" or "lost".
    symbol
        Canonical, "" where there is none, or several.
    order_id, client_order_id
        "" where it is not about an order.
    text
        For a person.
    """

    kind: Literal["order", "fill", "position", "connected", "lost"]
    symbol: str = ""
    order_id: str = ""
    client_order_id: str = ""
    text: str = ""
