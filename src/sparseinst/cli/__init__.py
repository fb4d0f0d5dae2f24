"""The command line: parse, call, print. Everything heavy is imported by the command that needs it."""

from sparseinst.cli.app import app, main

__all__ = ["app", "main"]
