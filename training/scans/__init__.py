"""Jobs that read all pairs of a project: for personal data, and for what they mean."""
