"""The front door: the command line, the configuration file, and the wiring between packages. No logic.

Whatever a command prints comes from a public function of another package, so that a script can have the same
answer without a shell. Importing this package imports neither numba nor pandas; a command pays only for what
it uses.
"""

from __future__ import annotations

__all__ = ["__version__"]


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("twinstep")
    except PackageNotFoundError:  # run from a source tree that nobody installed
        return "0+source"


def __getattr__(name: str) -> str:
    """Read the version when somebody asks: finding it on disk costs some milliseconds."""
    if name == "__version__":
        return _version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
