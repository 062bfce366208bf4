VERSION = "0.1.0"
"""The version of Warren, equal to that in pyproject.toml: images contain the code without its package metadata."""
