"""Video: from a source to files, as a row of stages that run at once."""
