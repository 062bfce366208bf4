"""User names and passwords: their stores, and the hashes of the broker."""
