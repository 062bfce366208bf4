"""Scores each new order by rules, and requests the cancellation of suspicious ones."""
