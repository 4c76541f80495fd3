"""Drafts: new rows that a model writes and people decide about."""
