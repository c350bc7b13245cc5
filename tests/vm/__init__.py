"""Virtual machines for the tests: boot an installed Debian kernel in QEMU and run things in it."""
