"""The ways out of Assay: what an adapter is written as for other programs."""
