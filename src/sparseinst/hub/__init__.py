"""Checkpoints for others: the model card and the upload to the Hugging Face Hub."""

from sparseinst.hub.publish import push_to_hub

__all__ = ["push_to_hub"]
