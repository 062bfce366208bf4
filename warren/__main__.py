"""Runs the command `warren` as `python -m warren`."""

from warren.entry import warren

warren()
