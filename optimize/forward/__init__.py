"""Walk-forward: tune inside, score outside, and say what it shows.

`walk_forward` does it; `optimize.splits` has the splits themselves, `forward.evidence` the test behind the
verdict.
"""

from __future__ import annotations

from optimize.forward.result import WalkForward
from optimize.forward.verdict import Verdict, judge
from optimize.forward.walk import walk_forward

__all__ = ["Verdict", "WalkForward", "judge", "walk_forward"]
