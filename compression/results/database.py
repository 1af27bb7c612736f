"""An SQLite file that any number of threads and processes use, and that may be lost without harm.

Each operation opens a connection of its own, which takes about 0.2 ms and leaves nothing behind that could be stale.
A file that is damaged, or that another version wrote, is moved aside and made anew. Whatever goes wrong comes back
as a sentence for the reader, within two seconds, and never as an exception.
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
except ImportError:  # Windows, where nobody can rename a file that is open
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]

File = tuple[int, int]

STATE = "SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_master)"

LOCK_SECONDS = 0.2  # SQLite waits as long for one lock,

PATIENCE_SECONDS = 1.5  # and an operation that met one is tried again as long

BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}

DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


class Unusable(Exception):
    """`file` cannot be used as it is; `words` say why."""

    def __init__(self, words: str, file: File | None) -> None:
        super().__init__(words)
        self.words, self.file = words, file


@dataclass(frozen=True)
class Database:
    """The file at `path`, made where it is not. `version` counts from 1.

    `tables` are the statements that make it, and do nothing where another process has just made it.
    """

    path: Path
    version: int
    tables: str

    def attempt(self, work: Work[T], otherwise: str) -> tuple[T | None, str | None]:
        """What `work` returns, None if it could not be done, and what went wrong, None if nothing did.

        Both may be there: a file was moved aside, and the work was done with a new one. What could not be done is
        told after the words `otherwise`.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            try:
                return _patiently(partial(self._do, work), deadline), None
            except Unusable as unusable:
                moved = _patiently(partial(self._move_aside, unusable), deadline)
            return _patiently(partial(self._do, work), deadline), moved
        except (Unusable, sqlite3.DatabaseError, OSError) as error:
            return None, f"{otherwise}: {self._reason(error)}"

    def _do(self, work: Work[T]) -> T:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._folder(shared=True):
            file = self._file()
            try:
                with closing(sqlite3.connect(self.path, timeout=LOCK_SECONDS, isolation_level=None)) as connection:
                    if not self._ready(connection):
                        raise Unusable("was written by another version of the laboratory", file)
                    return work(connection)
            except sqlite3.DatabaseError as error:
                if _kind(error) in DAMAGE or self._file() != file:
                    raise Unusable("was damaged", file) from error
                raise

    def _ready(self, connection: sqlite3.Connection) -> bool:
        """Whether the file has the tables of this version; a new one gets them, all at once."""
        connection.text_factory = bytes  # in a damaged file anything may be called text
        connection.execute("PRAGMA synchronous = NORMAL")  # safe with a WAL, and half of the waiting for the disk
        version, tables = connection.execute(STATE).fetchone()
        if version == 0 and tables == 0:
            connection.executescript(
                "PRAGMA journal_mode = WAL; BEGIN IMMEDIATE;"
                f"{self.tables}; PRAGMA user_version = {self.version}; COMMIT"
            )
            return True
        return version == self.version

    def _move_aside(self, unusable: Unusable) -> str | None:
        """Renames the file and what SQLite keeps beside it, and says so; None where another process has done it.

        Raises Unusable where it cannot be renamed.
        """
        aside = f"{self.path}.damaged-{datetime.now():%Y%m%d-%H%M%S-%f}"
        if self._file() != unusable.file:  # no need to wait for the folder
            return None
        with self._folder(shared=False):
            if self._file() != unusable.file:
                return None
            for suffix in ("-journal", "-wal", "-shm", ""):  # last the database: the others belong to what lies there
                try:
                    os.rename(f"{self.path}{suffix}", f"{aside}{suffix}")
                except FileNotFoundError:
                    continue
                except OSError as error:
                    words = f"{unusable.words} and cannot be moved aside ({error.strerror})"
                    raise Unusable(words, unusable.file) from error
        return f"{self.path} {unusable.words}. It is now {os.path.basename(aside)}, and a new one was begun"

    @contextmanager
    def _folder(self, shared: bool) -> Iterator[None]:
        """The folder, locked: `shared` by those who have the database open, alone by the one who moves it.

        SQLite deletes a WAL by its name: closing a database that was moved would take the new one's away.
        Raises BlockingIOError where others hold the lock.
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
        """Which file lies at `path` now."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _reason(self, error: Unusable | sqlite3.DatabaseError | OSError) -> str:
        if isinstance(error, Unusable):
            return f"{self.path} {error.words}"
        if _is_busy(error):
            return f"another program does not let go of {self.path}"
        if isinstance(error, OSError):
            return f"{error.filename}: {error.strerror}"
        match _kind(error):
            case sqlite3.SQLITE_FULL:
                return "the disk is full"
            case sqlite3.SQLITE_IOERR:
                return "the disk is full or fails"
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
                return f"{self.path} cannot be opened for writing"
        return str(error)


def _patiently(do: Callable[[], T], deadline: float) -> T:
    """Does it, until `deadline` again and again as long as others are in the way."""
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
    """SQLite's primary result code, https://sqlite.org/rescode.html."""
    return error.sqlite_errorcode & 0xFF
