"""The demonstration: one failing disk, used twice, raw and under dm-remap (`make demo`)."""
