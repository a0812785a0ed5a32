"""The command line: one file a subcommand, each a thin typed function."""

from __future__ import annotations

from deepcanon.cli.app import main

__all__ = ["main"]
