"""Several processors at once: does dm-remap scale as dm-linear does?"""
