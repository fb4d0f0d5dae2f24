"""What is not to be looked through for tests: the cells of the notebook, which test_notebook.py runs."""

collect_ignore = ["tour.py"]
