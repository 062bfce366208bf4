"""Container images: of Warren's programs, of their base, and of the servers where official ones cannot be pulled."""
