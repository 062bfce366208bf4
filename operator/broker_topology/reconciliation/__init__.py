"""Brings a broker to what an owner's topology says, keeps it there, and takes it away again."""
