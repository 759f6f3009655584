"""Parts of the tax lots: matching of closings with lots, and wash sales."""
