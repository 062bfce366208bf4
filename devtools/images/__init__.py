"""Builds Warren's container images, their base image, and images of servers whose official ones cannot be pulled."""
