"""What really happens on devices, by region: latency, errors, retries, depth, and patterns.

program.c counts inside the kernel. A worker process of its own (worker.py) loads it by bcc, which
takes much memory, and hands out what has changed as lines of JSON (frames.py). source.py starts it,
and falls back on the counters that the kernel has anyway (kernel_counters.py). Nothing here imports
bcc but the worker.
"""
