"""Data sets of any format: found by looking, read to one form."""
