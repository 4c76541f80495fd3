"""What judges text: files in and out, checks, personal data, duplicates, readiness, versions."""
