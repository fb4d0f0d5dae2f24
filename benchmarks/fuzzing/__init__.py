"""Damaged files for every reader: corpora, mutations, readers and the processes that they run in (see fuzz.py)."""
