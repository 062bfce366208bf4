"""Builds the container images of Warren, of their base, and of servers whose official images cannot be pulled."""
