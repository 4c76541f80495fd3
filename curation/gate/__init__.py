"""What must hold before a set is trained on, and who waived a line."""
