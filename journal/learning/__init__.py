"""What closed trades teach: evidence that holds at every look, rules, advice, and the weekly report."""
