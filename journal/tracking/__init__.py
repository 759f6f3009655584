"""Parts of the position tracker: rows of a broker, their matching, links to plans, and differences."""
