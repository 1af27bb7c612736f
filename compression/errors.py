"""Every exception of ours; each message is a sentence for the reader."""


class DataError(Exception):
    """CIFAR-10, or a file that was fetched, cannot be used; the message says why, in the reader's words."""


class DataMissing(DataError):
    """There is no CIFAR-10 in any of the places that were looked at."""


class CheckpointError(Exception):
    """A checkpoint cannot be used; the message says why, in the reader's words.

    Names from the file are part of it: what cannot be printed is shown as an escape, and there is an end to it.
    """

    def __init__(self, words: str) -> None:
        shown = (letter if letter.isprintable() else repr(letter)[1:-1] for letter in words[:2000])
        super().__init__("".join(shown))


class CodecError(CheckpointError):
    """A file that no compressed network was written to, or that is damaged; the message says so."""


class EngineError(Exception):
    """A task failed on a worker; the message says why."""
