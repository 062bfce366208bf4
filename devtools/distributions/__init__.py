"""Builds the packages that others install, and checks them in an empty environment: `make dist`."""
