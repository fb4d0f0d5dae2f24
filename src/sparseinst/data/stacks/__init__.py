"""Images of several channels, planes and time points, by their axes."""
