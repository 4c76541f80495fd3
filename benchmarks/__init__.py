"""What is measured, runnable by anyone: ratios to a peer or a limit in the same run."""
