"""Read a kernel log: which test was running, and did something go wrong in the kernel?"""

import re

# Each test writes this to /dev/kmsg when it starts, so that a dead guest's console names the last.
TEST_MARK = "dm-remap test: "

# What stands before the problems in the failure of a test.
COMPLAINT = "the kernel complained:"

_PROBLEM = re.compile(
    r"WARNING: |BUG: |kernel BUG at|Oops|general protection fault|UBSAN: |KASAN: |KCSAN: "
    r"|blocked for more than|soft lockup|hard LOCKUP|detected stall|self-detected"
    r"|possible (?:circular|recursive|irq) |inconsistent lock state|scheduling while atomic"
    r"|register non-static key|ODEBUG: "
    r"|sleeping function called|refcount_t: |list_(?:add|del) corruption|unreferenced object"
)


def find_problems(log: str) -> list[str]:
    """Return the lines that report a kernel bug, a warning or a hang, with the test they hit."""
    test = ""
    problems = []
    for line in log.splitlines():
        if TEST_MARK in line:
            test = line.partition(TEST_MARK)[2]
        elif _PROBLEM.search(line):
            problems.append(f"{line.strip()} (during {test})" if test else line.strip())
    return problems


def last_test(log: str) -> str:
    """The name of the test that started last."""
    return log.rpartition(TEST_MARK)[2].partition("\n")[0].strip() if TEST_MARK in log else "boot"
