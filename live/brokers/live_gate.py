"""Real money needs three things at once; the default is paper.

    key     `[live] key = true` in the configuration
    flag    `--live` on the command line, given at every start
    token   a kill switch of scope "live" that a named person has armed

Each stops another mistake: a file that was copied, a command that was repeated from the shell's history, and
a program that starts by itself. Key and flag are looked at once, before a connection is opened. The token is
looked at again with every order, since anybody may kill at any time: by the manager's gate, and here once
more for whoever talks to a broker without a manager.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from live.brokers.interface import Account, BrokerInterface, BrokerOrder, OrderRequest, Submitted, denied
from live.kill_switch import KillSwitch
from live.submit_gate import may_pass
from simulator.brokerage import Execution, Holding
from simulator.errors import ConfigError

__all__ = ["GuardedBroker", "check_live"]


def check_live(*, key: bool, flag: bool, switch: KillSwitch | None, armed: bool = True) -> KillSwitch:
    """Return the switch where all three locks are open.

    Parameters
    ----------
    armed
        False to look, cancel and protect during a halt: a switch of scope live is needed, its token is not.

    Raises
    ------
    ConfigError
        LIVE_NOT_ENABLED without key or flag, LIVE_SCOPE without a switch of scope live.
    KillSwitchError
        LIVE_HALTED, LIVE_REDUCING where it is not armed.
    """
    missing = [
        what
        for what, given in (
            ("[live] key = true in the configuration", key),
            ("--live where it is started", flag),
        )
        if not given
    ]
    if missing:
        raise ConfigError(
            f"real money needs a key, a flag and an armed switch; {' and '.join(missing)} "
            f"{'are' if len(missing) > 1 else 'is'} missing",
            code="LIVE_NOT_ENABLED",
        )
    if switch is None or switch.scope != "live":
        what = "there is none" if switch is None else f"the one in {switch.folder} is for {switch.scope}"
        raise ConfigError(
            f"real money needs a kill switch of scope live that a person has armed; {what}: twinstep arm "
            "--scope live",
            code="LIVE_SCOPE",
        )
    if armed:
        switch.check()
    return switch


class GuardedBroker(BrokerInterface):
    """A broker of real money that looks at the token before every order; what else it has is passed on.

    What protects a position, changes and cancels pass in every state, as at the submit gate. A halt answers
    DENIED with LIVE_HALTED or LIVE_REDUCING, and nothing is sent.

    Parameters
    ----------
    inner
        The adapter.
    switch
        Of scope live.

    Raises
    ------
    ConfigError
        LIVE_SCOPE for a switch of another scope.
    """

    def __init__(self, inner: BrokerInterface, switch: KillSwitch) -> None:
        if switch.scope != "live":
            raise ConfigError(
                f"{inner.broker} trades real money, and the switch in {switch.folder} is for {switch.scope}",
                code="LIVE_SCOPE",
            )
        self.inner = inner
        self.switch = switch

    def __getattr__(self, name: str) -> Any:
        # only what is not defined here comes this way: quotes, chain, activities, on_update, close
        if name in ("inner", "switch"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __repr__(self) -> str:
        return f"GuardedBroker({self.inner.broker!r}, switch={self.switch.state})"

    @property
    def broker(self) -> str:
        """Short name of the broker."""
        return self.inner.broker

    @property
    def account(self) -> str:
        """Number or name of the account."""
        return self.inner.account

    @property
    def is_paper(self) -> bool:
        """Whether no real money is behind it."""
        return self.inner.is_paper

    def submit_order(self, request: OrderRequest) -> Submitted:
        """Send once, where the token lets it pass."""
        state = self.switch.state
        if not may_pass(state, request.purpose):
            return denied(request, code=f"LIVE_{state}", message=str(self.switch.status["why"]))
        return self.inner.submit_order(request)

    def never_arrived(self, client_order_id: str) -> None:
        """Pass on that an order got lost."""
        self.inner.never_arrived(client_order_id)

    def replace_order(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> BrokerOrder:
        """Change a working order; see `BrokerInterface`."""
        return self.inner.replace_order(
            order_id, quantity=quantity, limit_price=limit_price, stop_price=stop_price
        )

    def cancel_order(self, order_id: str) -> BrokerOrder:
        """Ask to cancel; see `BrokerInterface`."""
        return self.inner.cancel_order(order_id)

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order with our id."""
        return self.inner.find_order(client_order_id)

    def get_orders(self, *, open_only: bool = True) -> Sequence[BrokerOrder]:
        """Return the orders."""
        return self.inner.get_orders(open_only=open_only)

    def get_positions(self) -> Sequence[Holding]:
        """Return everything that is held."""
        return self.inner.get_positions()

    def get_account(self) -> Account:
        """Return what the account is worth."""
        return self.inner.get_account()

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        """Return what happened."""
        return self.inner.executions(since)
