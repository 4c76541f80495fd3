"""The commands of `python -m curation`; each module is imported only when it is used."""
