"""Run the command line as `python -m twinstep`."""

from __future__ import annotations

from twinstep.entry import main

if __name__ == "__main__":
    main()
