"""Draws that depend on the test alone, commands that count no trials and keep no runs, one tree of commands.

Hypothesis mixes constants of the loaded sources into what it draws. A test with fixed draws would then change
with every edit elsewhere, and with the order of tests, and what it has met by chance it would meet no more.
"""

from __future__ import annotations

import functools
import os

import typer.main
from hypothesis.internal.conjecture import providers

from tests.journal import made_tables

providers._get_local_constants = lambda: providers._local_constants

# a test of the command line is no trial and keeps no run; those that count and keep say so
os.environ["TWINSTEP_NO_TRIALS"] = "1"
os.environ["TWINSTEP_NO_KEEP"] = "1"

# a process of a user runs one command; one of the tests runs hundreds, and the tree of them is long to build
typer.main.get_command = functools.cache(typer.main.get_command)

made_tables.install()
