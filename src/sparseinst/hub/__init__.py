"""Checkpoints for others: the model card and the upload to the Hugging Face Hub."""
