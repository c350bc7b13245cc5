"""The map of a disk: one cell a region, for a terminal and as an image."""
