"""What Assay remembers: nouns, tables, a module of functions per noun, and their engine."""
