"""engine/priorities.py"""

POLL_SECONDS = 0.05

LEVEL, LAST = 10**13, 10**15  # in a priority, beside milliseconds since 1970
