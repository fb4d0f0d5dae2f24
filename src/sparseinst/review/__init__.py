"""People look at data: pages about a data set, annotations that a network disputes, proposals to correct by hand."""
