"""One module per command: its options, what it calls, how it prints. Heavy imports stand inside functions."""
