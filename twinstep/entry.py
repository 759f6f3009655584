"""Where the command `twinstep` begins: a kill goes its own short way, everything else to the command line.

The parser of the command line takes a quarter of a second to import, and needs a good deal of the
installation to be whole. `twinstep kill` waits for neither. A line that the short way does not fully
understand, such as `twinstep kill --help`, goes the ordinary one.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    if sys.argv[1:2] == ["kill"]:
        from twinstep.switches import quick_kill

        code = quick_kill(sys.argv[2:])
        if code is not None:
            sys.exit(code)
    from twinstep.cli import main as ordinary

    ordinary()
