"""The calendar spread: sell the near option, buy the same strike further out.

It is paid for, so the shares of the premium that end it are shares of the debit, which is also all that it
can lose. It lives on the term structure: a surface whose far terms follow the near ones will not show what a
panic does to it, and a modelled result says more about the surface than about the trade.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.options.selection import ExpiryWindow
from strategies.base import Choice, Float, Int, param
from strategies.premium.base import Leg, Plan, PremiumParams, PremiumStrategy, check_rule

if TYPE_CHECKING:
    from simulator.options.selection import Selection

__all__ = ["Calendar"]


class Calendar(PremiumStrategy):
    """Sell an option of the near expiry and buy the same strike of a later one."""

    name = "calendar"

    @dataclass(frozen=True)
    class Params(PremiumParams):
        """The common parameters, for the near expiry; the far one, the side and the strike."""

        target_dte: int = param(30, Int(20, 45, 5), minimum=1, help="wanted days to the near expiry")
        min_dte: int = param(14, minimum=1, help="least days to the near expiry")
        max_dte: int = param(49, minimum=1, help="most days to the near expiry")
        profit_target_pct: float = param(
            25.0, Float(10.0, 50.0, 5.0), minimum=0.0, help="gain in percent of the debit; 0 is never"
        )
        stop_multiple: float = param(
            0.0, minimum=0.0, maximum=0.0, help="not for what is paid for: stop_loss_pct"
        )
        exit_dte: int = param(7, Int(1, 13, 3), minimum=0, help="exit at days to the near expiry")
        back_dte: int = param(65, Int(55, 85, 10), minimum=2, help="wanted days to the far expiry")
        min_back_dte: int = param(50, minimum=2, help="least days to the far expiry, above max_dte")
        max_back_dte: int = param(90, minimum=2, help="most days to the far expiry")
        stop_loss_pct: float = param(
            50.0, Float(25.0, 75.0, 25.0), minimum=0.0, help="loss in percent of the debit; 0 is never"
        )
        right: str = param("put", Choice(("put", "call")), help="what is traded")
        strike_pct: float = param(0.0, Float(-5.0, 5.0, 2.5), help="strike from the close, in percent of it")

        def __post_init__(self) -> None:
            super().__post_init__()
            check_rule(
                self.max_dte < self.min_back_dte <= self.back_dte <= self.max_back_dte,
                "back_dte lies from min_back_dte to max_back_dte, and the far expiry beyond max_dte",
                self,
            )

    params: Params

    def plans(self, selection: Selection) -> list[Plan]:
        """Return two options of one strike, the near one sold."""
        given = self.params
        back = ExpiryWindow(given.back_dte, given.min_back_dte, given.max_back_dte, given.weeklies)
        near = selection.by_percent(given.right, self.window, given.strike_pct)
        far = selection.at_strike_of(near, back)
        rules = {"stop_loss": given.stop_loss_pct / 100.0}
        return [Plan([Leg(-1, near), Leg(1, far)], side=1, rules=rules)]
