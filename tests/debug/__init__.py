"""The debug kernel (KASAN, lockdep, …): built from Debian's source, and the tests on it."""
