"""The parts of the review queue: its files, their copies in the journal, and what its history says."""
