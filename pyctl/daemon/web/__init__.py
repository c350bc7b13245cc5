"""The page for people: what a browser gets."""
