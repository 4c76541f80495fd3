"""Answers of base and tuned model, and what they prove: evaluation, blind trial, experiments."""
