"""Optuna, imported when a study needs it, and kept quiet."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from simulator.errors import MissingExtraError

__all__ = ["quiet", "the_optuna"]


def the_optuna() -> ModuleType:
    """Return the package `optuna`; `MissingExtraError` OPTIMIZE_EXTRA where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError(
            "studies need optuna; install it with: pip install 'twinstep[optimize]'", code="OPTIMIZE_EXTRA"
        ) from error
    return optuna


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what Optuna says about heartbeats outside its own loop, and about new features."""
    optuna = the_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            # this project records heartbeats itself, for all trials of a batch
            warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")
            warnings.filterwarnings("ignore", message="PedAnovaImportanceEvaluator computes")
            # which samplers suit batches is decided in `samplers`
            warnings.filterwarnings("ignore", message=".*multivariate.*")
            yield
    finally:
        optuna.logging.set_verbosity(before)
