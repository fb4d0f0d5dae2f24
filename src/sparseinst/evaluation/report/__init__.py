"""The report of an evaluation: figures, charts and pictures on one page."""
