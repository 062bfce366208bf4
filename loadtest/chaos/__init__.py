"""`python -m loadtest chaos`: runs the chaos test of `faults.chaos` and prints its result."""
