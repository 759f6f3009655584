"""Draws of hypothesis that depend on the test alone, and commands that count no trials.

Hypothesis mixes constants of the loaded sources into what it draws. A test with fixed draws would then change
with every edit elsewhere, and with the order of tests, and what it has met by chance it would meet no more.
"""

from __future__ import annotations

import os

from hypothesis.internal.conjecture import providers

providers._get_local_constants = lambda: providers._local_constants

# a test of the command line is no trial; those that count say so
os.environ["TWINSTEP_NO_TRIALS"] = "1"
