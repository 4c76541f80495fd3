"""What `curation.health.report` measures in a set."""
