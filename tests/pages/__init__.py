"""Each page, opened through `app.py` by people with different roles."""
