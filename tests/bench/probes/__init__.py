"""What probes cost those whose I/O is looked at, and those beside them."""
