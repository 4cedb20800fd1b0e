"""The operator's door: the `holdfast` command. Every command is a client of the portal's own calls."""

from holdfast.cli.main import main

__all__ = ["main"]
