"""A hundred thousand remaps in a minute, and a daemon that hears them."""
