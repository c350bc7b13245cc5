"""What an I/O costs: instructions per I/O through dm-remap, against dm-linear."""
