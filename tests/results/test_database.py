"""An SQLite file that is replaced while it is used. Damage of the file is tested with the store."""

import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from compression.results.database import Database

TABLES = "CREATE TABLE IF NOT EXISTS numbers (number)"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "numbers.sqlite", 1, TABLES)


def add(connection: sqlite3.Connection, number: int = 1) -> int:
    connection.execute("INSERT INTO numbers VALUES (?)", (number,))
    return number


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]


def renew(database: Database) -> None:
    """Does what another process may do at any time: moves the file away and creates a new one with the number 2."""
    for suffix in ("-wal", "-shm", ""):
        os.rename(f"{database.path}{suffix}", f"{database.path}.old{suffix}")
    assert database.attempt(lambda connection: add(connection, 2), "oh") == (2, None)


def test_work_is_done_and_its_answer_comes_back(database: Database) -> None:
    assert database.attempt(add, "oh") == (1, None)
    assert database.attempt(numbers, "oh") == ([1], None)


def test_work_is_done_with_a_new_file_where_the_old_one_is_damaged(database: Database) -> None:
    database.path.write_text("no database")
    value, problem = database.attempt(add, "oh")
    assert value == 1
    assert problem is not None
    assert problem.startswith(f"{database.path} was damaged. It is now numbers.sqlite.damaged-")


def test_threads_that_create_the_file_at_once_create_one(tmp_path: Path) -> None:
    for attempt in range(50):
        database = Database(tmp_path / f"{attempt}.sqlite", 1, TABLES)
        with ThreadPoolExecutor(8) as pool:
            work = [pool.submit(database.attempt, partial(add, number=number), "oh") for number in range(8)]
        assert [future.result() for future in work] == [(number, None) for number in range(8)]
        assert database.attempt(numbers, "oh") == (list(range(8)), None)


def test_a_failure_is_reported_after_the_given_words(database: Database) -> None:
    database.path.mkdir()
    assert database.attempt(add, "oh") == (None, f"oh: {database.path} cannot be opened for writing.")


def test_work_that_fails_on_a_moved_file_is_done_on_the_new_one(
    database: Database, room_for: Callable[[int], None]
) -> None:
    def work(connection: sqlite3.Connection) -> int:
        if not os.path.exists(f"{database.path}.old"):
            renew(database)
            room_for(0)
        try:
            return add(connection)
        finally:
            room_for(-1)

    assert database.attempt(work, "oh") == (1, None)
    assert database.attempt(numbers, "oh") == ([1, 2], None)


def test_a_new_file_is_not_moved_aside_for_the_damage_of_the_old_one(database: Database) -> None:
    """It does not wait for connections to the new file either."""

    def work(connection: sqlite3.Connection) -> tuple[list[int] | None, str | None]:
        if not os.path.exists(f"{database.path}.old"):
            renew(database)
            connection.execute("SELECT * FROM what_is_not_there")
        return database.attempt(numbers, "oh")

    assert database.attempt(lambda _: database.attempt(work, "oh"), "oh") == ((([2], None), None), None)
    assert not list(database.path.parent.glob("*.damaged-*"))


def test_a_mistake_of_the_work_is_not_taken_for_a_fault_of_the_file(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        database.attempt(lambda _: 1 // 0, "oh")
