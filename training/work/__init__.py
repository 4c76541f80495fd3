"""Long work in processes of their own: begun, watched, decided from evidence on disk."""
