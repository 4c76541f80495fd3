"""Reads what somebody else wrote: files taken apart under limits, strict JSON, guessed columns."""
