VERSION = "0.1.0"
"""Of Warren, as in pyproject.toml: images hold the code without the data of its package."""
