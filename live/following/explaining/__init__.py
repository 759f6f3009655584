"""How the trades of a plan and those of an account are put side by side; see `live.following.explain`."""
