"""Power cuts: nothing that was acknowledged may be lost. docs/testing-crashes.md tells how."""
