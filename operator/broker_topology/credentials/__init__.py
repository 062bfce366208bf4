"""Users' names and passwords: where they are kept, and how a broker hashes them."""
