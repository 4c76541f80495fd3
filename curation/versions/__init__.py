"""What a version is made of: its bytes and hashes, evidence, card, formats, and their proofs."""
