"""Runs beside each other: a table and their curves on one page."""
