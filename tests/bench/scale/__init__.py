"""What a large table costs: loading it, keeping it in memory, adding to it."""
