"""The commands of `python -m training`; each module is imported only when it is used."""
