"""Parking lots: reading, replaying and dropping what could not be processed."""
