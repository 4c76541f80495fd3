"""The life of an adapter: kept or imported, checked, promoted, retired."""
