"""Answers that refuse, with Alpaca's numbers.

Alpaca's error codes are the HTTP status followed by five digits, and clients look at them: 40010001 where a
field is missing or a client order id is used twice, 40310000 where the account may not, 40410000 where there
is no such thing, 42210000 where an order can no longer be changed or its parts make no sense.

>>> refusal = not_found("order not found for 7")
>>> refusal.status, refusal.body()["code"]
(404, 40410000)
"""

from __future__ import annotations

from typing import Any, Final

__all__ = [
    "Refusal",
    "bad_field",
    "forbidden",
    "internal",
    "malformed",
    "not_found",
    "rate_limited",
    "unauthorized",
    "unprocessable",
]

MALFORMED: Final = 40010000
BAD_FIELD: Final = 40010001
UNAUTHORIZED: Final = 40110000
FORBIDDEN: Final = 40310000
NOT_FOUND: Final = 40410000
UNPROCESSABLE: Final = 42210000
RATE_LIMITED: Final = 42910000
INTERNAL: Final = 50010000


class Refusal(Exception):
    """An answer with a status, a code and a message, and what else Alpaca says with it."""

    def __init__(self, status: int, code: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.more = more
        self.retry_after: int | None = None

    def body(self) -> dict[str, Any]:
        """Return what goes over the wire."""
        return {"code": self.code, "message": self.message, **self.more}


def malformed(message: str = "request body format is invalid") -> Refusal:
    """Return the answer to what cannot be read at all."""
    return Refusal(422, MALFORMED, message)


def bad_field(message: str) -> Refusal:
    """Return the answer to a field that is missing, impossible, or not unique."""
    return Refusal(422, BAD_FIELD, message)


def unauthorized(message: str = "request is not authorized") -> Refusal:
    """Return the answer to absent or wrong keys."""
    return Refusal(401, UNAUTHORIZED, message)


def forbidden(message: str, **more: Any) -> Refusal:
    """Return the answer to what the account may not do, such as to spend what it has not."""
    return Refusal(403, FORBIDDEN, message, **more)


def not_found(message: str) -> Refusal:
    """Return the answer to an order, position, asset or path that does not exist."""
    return Refusal(404, NOT_FOUND, message)


def unprocessable(message: str) -> Refusal:
    """Return the answer to what can be read and not be done."""
    return Refusal(422, UNPROCESSABLE, message)


def rate_limited() -> Refusal:
    """Return the answer to too many requests."""
    return Refusal(429, RATE_LIMITED, "rate limit exceeded")


def internal() -> Refusal:
    """Return the answer when the fault is ours."""
    return Refusal(500, INTERNAL, "internal server error occurred")
