"""Before a run: its settings as a recipe, what it will take, what is checked first."""
