"""Tuning from a journal: cases, the search over them, and the rule by which a change is adopted."""
