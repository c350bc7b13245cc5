"""Mistakes that the tests of the traps must find.

Each NN_<name>.patch makes one mistake in kernel/; the tests test_trap_NN_* must fail with it.
"""
