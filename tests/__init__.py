"""The tests of Assay, as small stories."""
