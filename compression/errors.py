"""Every exception of this package. Each message is a sentence for the user: what is wrong, and what to do next."""


class CompressionError(Exception):
    """The base class of the exceptions of this package; arguments out of range raise ValueError instead."""


class DataError(CompressionError):
    """CIFAR-10, or a file that was downloaded, cannot be used."""


class DataMissing(DataError):
    """CIFAR-10 is in none of the places where it is looked for."""


class CheckpointError(CompressionError):
    """A checkpoint cannot be used.

    The message may quote names from the file: unprintable characters are escaped, and it has at most 2,000 characters.
    """

    def __init__(self, message: str) -> None:
        characters = (letter if letter.isprintable() else repr(letter)[1:-1] for letter in message[:2000])
        super().__init__("".join(characters))


class CodecError(CheckpointError):
    """A file is damaged, or it is not the file of a compressed network."""


class HistoryError(CompressionError):
    """The history of a search cannot be read or written."""


class EngineError(CompressionError):
    """A task failed on a worker."""
