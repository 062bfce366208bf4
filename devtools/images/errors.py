"""Errors of building images."""


class ImageError(Exception):
    """An image could not be made; the message says which, why, and what to do."""
