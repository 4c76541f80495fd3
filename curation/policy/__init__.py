"""Policy eras, the rows that a change concerns, and what becomes of them."""
