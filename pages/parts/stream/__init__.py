"""The streams of presses: review card, gold-pair editor and blind ballot, each one component."""
