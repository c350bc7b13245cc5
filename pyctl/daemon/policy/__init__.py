"""Policies: what is to be done by itself, written in YAML.

`loading` reads a file into a `document`, made of `conditions` and `doing`. `state` is what is known
of the devices, `engine` decides; both are pure functions, and the time is an argument. `replay`
runs recorded events through them.
"""
