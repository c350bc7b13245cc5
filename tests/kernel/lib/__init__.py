"""Devices, faults and I/O for the tests that run inside a guest."""
