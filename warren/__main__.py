"""`python -m warren` is `warren`."""

from warren.entry import warren

warren()
