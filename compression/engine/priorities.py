"""The priorities of tasks: workers take the task with the highest number first.

Shared values come before everything, then urgent evaluations, then all other evaluations, then scans of layers, then
training.
"""

SHARED_VALUE = 1 << 60

LATER = -(10**15)  # added to the priority of a task that no one waits for; more than any difference between urgent ones

_LEVEL = 10**13  # more than the milliseconds since 1970 up to the year 2286


def evaluation_priority(asked_at: float, first_chunk: int, urgent: bool) -> int:
    """Returns the priority of a task that starts with chunk `first_chunk`, asked for at `asked_at` (s since 1970).

    The first images of each evaluation come before the later images of any other one: chunks 0, 1, 2-3, 4-7 and so on
    are levels. Within a level the most recent request comes first.
    """
    return int(1000 * asked_at) - _LEVEL * first_chunk.bit_length() + (0 if urgent else LATER)


def scan_priority(row: int, rows_apart: int, batch: int) -> int:
    """Returns the priority of a batch in a scan: behind all evaluations, row after row, batch after batch.

    `rows_apart` is more than the number of batches of a row.
    """
    return 2 * LATER - row * rows_apart - batch


TRAINING = 4 * LATER  # behind all scans, whose rows lie less than LATER apart
