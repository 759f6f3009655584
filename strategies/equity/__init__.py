"""Equity strategies that ship with the project; `strategies.registry` knows them by their short names.

They are honest starting points, not promises: simple rules with textbook parameters, complete with stops,
so that every order type and risk rule of the simulator has a strategy that uses it.
"""

from __future__ import annotations
