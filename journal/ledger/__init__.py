"""What writes and reads recommendations, trades and fills; `TradeJournal` is the door to it."""
