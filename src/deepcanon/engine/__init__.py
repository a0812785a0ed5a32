"""Running and exporting a network. Importing this brings in no engine and no torch."""
