"""The parts of reconciliation: fills, orders, positions, and the differences that wait for a person."""
