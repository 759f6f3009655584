"""The parts of alerts: where they go, and what a session tells."""
