"""Pictures of instances."""
