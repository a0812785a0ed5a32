"""Layers and tools that two or more domains share. Each file is named for what it holds."""
