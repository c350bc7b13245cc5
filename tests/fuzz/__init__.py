"""Fuzzing of the pure parts of the kernel module with libFuzzer, ASan and UBSan."""
