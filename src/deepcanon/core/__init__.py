"""What every domain stands on; nothing here imports torch."""
