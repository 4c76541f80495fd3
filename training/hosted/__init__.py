"""Tuning at an OpenAI-compatible endpoint, and what any endpoint is asked."""
