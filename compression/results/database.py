"""An SQLite file that any number of threads and processes use, and whose loss does no harm.

Each operation opens its own connection, which takes about 0.2 ms and leaves no state behind. A file that is damaged or
was written by another version is moved aside, and a new one is created. Whatever goes wrong is returned as a sentence
for people within two seconds; no exception is raised.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be renamed
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]

File = tuple[int, int]

STATE = "SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_master)"

LOCK_SECONDS = 0.2  # SQLite waits this long for one lock

PATIENCE_SECONDS = 1.5  # an operation that does not get its lock is repeated for this long

BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}

UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}

DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


class Unusable(Exception):
    """The database `file` cannot be used; `words` say why."""

    def __init__(self, words: str, file: File | None) -> None:
        super().__init__(words)
        self.words, self.file = words, file


@dataclass(frozen=True)
class Database:
    """The database in the file at `path`, which is created if it is missing. `version` counts from 1.

    `tables` are the statements that create its tables, and do nothing if another process has just created them.
    """

    path: Path
    version: int
    tables: str

    def attempt(self, work: Work[T], otherwise: str) -> tuple[T | None, str | None]:
        """Returns the value of `work` (None if it failed) and a sentence on what went wrong (None if nothing did).

        Both are there if a file was moved aside and the work was done with a new one. The sentence on a failure begins
        with `otherwise`.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            try:
                return _patiently(partial(self._do, work), deadline), None
            except Unusable as unusable:
                notice = _patiently(partial(self._move_aside, unusable), deadline)
            return _patiently(partial(self._do, work), deadline), notice
        except (Unusable, sqlite3.DatabaseError, OSError) as error:
            return None, f"{otherwise}: {self._reason(error)}."

    def _do(self, work: Work[T]) -> T:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._folder(shared=True):
            file = self._file()
            try:
                with closing(sqlite3.connect(self.path, timeout=LOCK_SECONDS, isolation_level=None)) as connection:
                    if not self._ready(connection):
                        raise Unusable("was written by another version of the laboratory", file)
                    return work(connection)
            except UnicodeDecodeError as error:  # SQLite's message quotes bytes of a damaged file
                raise Unusable("was damaged", file) from error
            except sqlite3.DatabaseError as error:
                if _kind(error) in DAMAGE or self._file() != file:
                    raise Unusable("was damaged", file) from error
                if _kind(error) not in UNWRITABLE or file is None:
                    raise
                return self._read(work, error)

    def _read(self, work: Work[T], error: sqlite3.DatabaseError) -> T:
        """Returns the value of `work` on a file that cannot be written. Raises `error`, the reason, if it writes.

        SQLite keeps a file beside a database with a write-ahead log even to read it, unless the database is immutable.
        """
        address = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(address, isolation_level=None, uri=True)) as connection:
                if self._ready(connection):
                    return work(connection)
        except sqlite3.DatabaseError:
            pass
        raise error

    def _ready(self, connection: sqlite3.Connection) -> bool:
        """Whether the file has the tables of this version. A new file gets them in one transaction."""
        connection.text_factory = bytes  # a damaged file may declare any bytes as text
        connection.execute("PRAGMA synchronous = NORMAL")  # safe with a write-ahead log, and twice as fast
        version, tables = connection.execute(STATE).fetchone()
        if version == 0 and tables == 0:
            connection.executescript(
                "PRAGMA journal_mode = WAL; BEGIN IMMEDIATE;"
                f"{self.tables}; PRAGMA user_version = {self.version}; COMMIT"
            )
            return True
        return version == self.version

    def _move_aside(self, unusable: Unusable) -> str | None:
        """Renames the file and its companions and returns a sentence that says so; None if another process did it.

        Raises Unusable if it cannot be renamed.
        """
        aside = f"{self.path}.damaged-{datetime.now():%Y%m%d-%H%M%S-%f}"
        if self._file() != unusable.file:  # another process has moved it: no need to lock the folder
            return None
        with self._folder(shared=False):
            if self._file() != unusable.file:
                return None
            for suffix in ("-journal", "-wal", "-shm", ""):  # the database last: its companions belong to it
                try:
                    os.rename(f"{self.path}{suffix}", f"{aside}{suffix}")
                except FileNotFoundError:
                    continue
                except OSError as error:
                    words = f"{unusable.words} and cannot be moved aside ({error.strerror})"
                    raise Unusable(words, unusable.file) from error
        return f"{self.path} {unusable.words}. It is now {os.path.basename(aside)}, and a new file was created."

    @contextmanager
    def _folder(self, shared: bool) -> Iterator[None]:
        """Locks the folder: `shared` while the database is open, exclusively while it is moved.

        SQLite deletes a write-ahead log by its name, so closing a database that was moved would delete the log of the
        new one. Raises BlockingIOError if another process holds the lock.
        """
        if fcntl is None:
            yield
            return
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            yield
        finally:
            os.close(folder)

    def _file(self) -> File | None:
        """Returns the identity of the file that is at `path` now, or None."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _reason(self, error: Unusable | sqlite3.DatabaseError | OSError) -> str:
        if isinstance(error, Unusable):
            return f"{self.path} {error.words}"
        if _is_busy(error):
            return f"another program keeps {self.path} locked"
        if isinstance(error, OSError):
            return f"{error.filename}: {error.strerror}"
        match _kind(error):
            case sqlite3.SQLITE_FULL:
                return "the disk is full"
            case sqlite3.SQLITE_IOERR:
                return "the disk is full or fails"
            case kind if kind in UNWRITABLE:
                return f"{self.path} cannot be opened for writing"
        return str(error)


def _patiently(do: Callable[[], T], deadline: float) -> T:
    """Calls `do`, and repeats it until `deadline` as long as other connections hold a lock."""
    while True:
        try:
            return do()
        except (sqlite3.DatabaseError, BlockingIOError) as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.005)


def _is_busy(error: sqlite3.DatabaseError | OSError) -> bool:
    return isinstance(error, BlockingIOError) if isinstance(error, OSError) else _kind(error) in BUSY


def _kind(error: sqlite3.DatabaseError) -> int:
    """Returns the primary result code of SQLite, https://sqlite.org/rescode.html."""
    return error.sqlite_errorcode & 0xFF
