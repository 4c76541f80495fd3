"""Pairs that repeat, contradict or leak into the test rows."""
