"""The parts of a session: what it records, steps, remembers and stores."""
