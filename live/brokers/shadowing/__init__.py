"""Parts of `live.brokers.shadow`: what is asked of the real broker, how orders match, and what is told."""
