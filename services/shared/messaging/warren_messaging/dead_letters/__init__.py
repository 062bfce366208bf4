"""Parking lots: reading, replaying and dropping messages that could not be processed."""
