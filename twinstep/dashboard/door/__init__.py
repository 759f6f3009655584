"""Who is let in: the guard in front of every path, the one-time link, and patience with slow speakers."""
