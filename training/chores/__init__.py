"""Long verbs of curation, each done in a job of its own that writes to the database in chunks."""
