"""Brings a broker to the wanted state of an owner, repairs drift, and deletes what the owner no longer wants."""
