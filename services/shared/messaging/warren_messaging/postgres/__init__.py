"""PostgreSQL: the pool, and the tables that consumers and relay share."""
