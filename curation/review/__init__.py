"""A person decides each pair: decisions, claims, conflicts, pace, writing."""
