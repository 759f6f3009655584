"""Chart patterns with a score: `scan_patterns` finds them, `PatternScan` is one of them.

Importing this package imports no numba; scanning does.
"""

from __future__ import annotations

from strategies.patterns.scan import COMPONENTS, HISTORY, PATTERNS, PatternScan, scan_patterns, scan_table

__all__ = ["COMPONENTS", "HISTORY", "PATTERNS", "PatternScan", "scan_patterns", "scan_table"]
