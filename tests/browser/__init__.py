"""Real Chromium walks through Assay."""
