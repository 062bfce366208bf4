"""What is wanted, what is there, the difference between the two, and how it is told."""
