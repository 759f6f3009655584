"""Errors and notices that a gateway sends about an order, and which of them say no.

The same message carries both: 201 is a rejection, 10349 and 399 are remarks about an order that works. What
is not known to be a refusal says nothing certain, and the order's own status is waited for.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Final, NamedTuple

from live.brokers.interactive_brokers.gateway import Gateway

__all__ = ["REFUSALS", "Refusal", "Replies"]

REFUSALS: Final = frozenset(
    {
        103,  # duplicate order id
        104, 105, 106,  # a filled order cannot change; it does not match; it cannot be transmitted
        107, 109, 110, 111, 113, 114,  # incomplete; price out of range or tick; tif, type
        116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 129, 131, 132, 133, 134, 136, 140, 141, 144,
        145, 146, 147, 148, 151, 152, 153, 154, 155, 156, 157, 159, 160, 163, 164, 168,
        200, 201, 203,  # no such contract; rejected; not allowed for the account
        311, 312, 313, 314, 315, 316, 318, 321, 325, 327, 328, 329,
        334, 335, 336, 337, 338, 339, 340, 341, 343, 346, 347, 348, 349, 350, 351, 352, 353,
        355, 356, 358, 359, 360, 361, 362, 363, 364, 367, 368, 369, 370, 371, 372, 373, 374, 375,
        376, 377, 378, 379, 380, 381, 382, 383, 384, 385, 386, 387, 388, 389, 390, 391, 392, 393,
        394, 395, 396, 397, 398, 402, 403, 405, 406, 407, 408, 409, 410, 411, 412, 413, 416, 417,
        418, 419, 422, 423, 424, 425, 426, 432, 433, 434, 435, 436, 437, 439, 440, 441, 442, 443,
        444, 10052, 10059, 10063, 10067, 10243, 10268,
    }
)  # fmt: skip
"""Codes by which an order, or its change, is refused; from the table of message codes of the TWS API."""


class Refusal(NamedTuple):
    """What the gateway says against an order."""

    order_id: int
    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.text} ({self.code})"

    @property
    def is_access(self) -> bool:
        """Whether it says that this login may not trade at all."""
        return self.code == 321 and "read-only" in self.text.lower()


class Replies:
    """What is said about some orders while this is open.

    Parameters
    ----------
    gateway
        Where it is heard.
    ids
        Numbers of the orders.
    """

    def __init__(self, gateway: Gateway, ids: Iterable[int]) -> None:
        self._gateway = gateway
        self._ids = frozenset(ids)
        self._said: list[Refusal] = []

    def __enter__(self) -> Replies:
        self._gateway.heard.append(self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gateway.heard.remove(self._hear)

    def refused(self) -> Refusal | None:
        """Return the first refusal, None where there is none."""
        return next((one for one in self._said if one.code in REFUSALS), None)

    def told(self) -> set[int]:
        """Return the orders about which anything was said."""
        return {one.order_id for one in self._said}

    def _hear(self, request: int, code: int, text: str) -> None:
        if request in self._ids:
            self._said.append(Refusal(request, code, text))
