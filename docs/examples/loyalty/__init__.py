"""Keeps the points that customers earn with completed orders. An example: see README.md."""
