"""From a configuration file to the settings of an automation.

Cash, limits, costs, conventions and the keys for real money are those of the file; what the file has no key
for (modes, trailing, scaling) is given by name. Limits that an automation does not have, as `leverage`, must
stay at their defaults: what the file says and nobody heeds would be a trap.

>>> from twinstep.config import load_settings
>>> automation_config(load_settings(None), scale_out_enabled=True).risk_per_trade_pct
2.0
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError
from simulator.risk_limits import RiskLimits

if TYPE_CHECKING:
    from live.automation.config import AutomationConfig
    from twinstep.config import Settings

__all__ = ["automation_config"]


def automation_config(settings: Settings, **given: Any) -> AutomationConfig:
    """Return the configuration of an automation.

    Parameters
    ----------
    settings
        As `load_settings` reads them.
    given
        Settings of `AutomationConfig` that go before the file.

    Raises
    ------
    ConfigError
        LIVE_CONFIG for a limit of the file that an automation does not have, or without a risk manager; and
        as `AutomationConfig`.
    """
    from live.automation.config import AutomationConfig

    if settings.risk is None:
        raise ConfigError(
            "the risk manager is switched off ([risk] enabled), and an automation always asks it",
            code="LIVE_CONFIG",
        )
    known = {field.name for field in fields(AutomationConfig)}
    limits = {field.name: getattr(settings.risk, field.name) for field in fields(RiskLimits)}
    usual = RiskLimits()
    lost = [name for name, value in limits.items() if name not in known and value != getattr(usual, name)]
    if lost:
        raise ConfigError(
            f"[risk] sets {', '.join(lost)}, which an automation does not have; leave it out, or trade in a "
            "session (twinstep paper)",
            code="LIVE_CONFIG",
        )
    found = {
        "account_size": settings.account.cash,
        **{name: value for name, value in limits.items() if name in known},
        "costs": settings.costs,
        "conventions": settings.conventions,
        "live_key": settings.live.key,
        "allow_full_auto_live": settings.live.full_auto,
    }
    return AutomationConfig(**{**found, **given})
