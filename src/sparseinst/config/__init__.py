"""Settings of a network and of its inference: all that a file needs to say besides its weights."""
