"""PostgreSQL: connection pool, inbox, failure records and retention."""
