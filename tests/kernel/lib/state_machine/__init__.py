"""The state machine of test_state_machine.py: a set, its disks, and random steps.

steps.py says which steps there are, actions.py does them, model.py says what must come of each, and
checks.py compares. bench.py has the disks.
"""
