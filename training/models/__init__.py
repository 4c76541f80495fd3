"""Base models: where they come from, what is looked at before one is loaded, what it reads."""
