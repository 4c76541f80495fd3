"""Finds personal data in a text and puts stand-ins in its place; `scrub` holds the verbs."""
