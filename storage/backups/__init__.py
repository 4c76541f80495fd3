"""Backups of a data folder: made, proven, restored."""
