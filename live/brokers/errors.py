"""What a broker may say instead of an answer, and what it means for an order that was being sent.

An adapter translates what its library raises into these where it knows better than "no answer". Each says
that the broker itself answered, so the order is not in doubt. Whatever else is raised while an order is sent
leaves it UNRESOLVED.
"""

from __future__ import annotations

from simulator.errors import TwinstepError

__all__ = ["AccessRefused", "BrokerError", "DuplicateOrder", "RateLimited"]


class BrokerError(TwinstepError, ConnectionError):
    """A broker that answered, and did not do what it was asked."""


class RateLimited(BrokerError):
    """Too many requests (HTTP 429, a pacing violation): nothing was done.

    Parameters
    ----------
    message
        The broker's words.
    retry_after
        Seconds to wait, where the broker says so.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message, code="LIVE_RATE_LIMITED")
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling with the wait kept."""
        return (_limited, (self.args[0], self.retry_after))


class AccessRefused(BrokerError):
    """An expired token (401) or a locked account (403): nothing was done; asking again changes nothing."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="LIVE_ACCESS")

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling."""
        return (AccessRefused, (self.args[0],))


class DuplicateOrder(BrokerError):
    """The client order id is taken: evidence that the order arrived the first time, and no rejection."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="LIVE_DUPLICATE_ID")

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling."""
        return (DuplicateOrder, (self.args[0],))


def _limited(message: str, retry_after: float | None) -> RateLimited:
    return RateLimited(message, retry_after=retry_after)
