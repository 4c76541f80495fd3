"""Begin a project and change it, its sample, and how an answer is scored."""
