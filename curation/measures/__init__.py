"""What `curation.health` measures in a set."""
