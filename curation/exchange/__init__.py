"""Files in: taken apart under limits, columns mapped, rows taken in whole or not at all."""
