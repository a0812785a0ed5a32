"""What the developers of deepcanon need and its users do not: page generators and lint rules."""
