"""What `deepcanon visualize` looks at inside of a network, and the page it draws."""
