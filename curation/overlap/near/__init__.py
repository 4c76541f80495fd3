"""Finds texts that are nearly the same, all at once or one while it is written."""
