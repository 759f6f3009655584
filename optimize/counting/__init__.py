"""What the trial ledger is made of: its tables, and what a hypothesis comes to."""
