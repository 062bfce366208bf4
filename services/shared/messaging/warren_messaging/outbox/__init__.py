"""From a committed transaction to a confirmed publish."""
