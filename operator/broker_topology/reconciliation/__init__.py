"""Applies an owner's desired state to a broker, repairs drift, and deletes objects that are no longer declared."""
