"""What is healthy in a damaged sqlite3 bag: row by row, around the pages that are lost.

A database that was cut off, or whose pages were overwritten, fails where it is read in order; every row
that is not in the damaged pages can still be had by its number.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

_LAST = 2**62


class SqliteSalvage:
    """Reads one file. damage: what was left out, filled while reading.  channels: id to (topic, type).
    metadata: always empty, as McapSalvage has it."""

    def __init__(self, path: Path):
        self.path = path
        self.damage: list[str] = []
        self.channels: dict[int, tuple[str, str]] = {}
        self.metadata: dict[str, dict[str, str]] = {}

    def messages(self) -> Iterator[tuple[str, int, bytes]]:
        """(topic, log time in ns, CDR bytes) of every healthy message, in the order of recording."""
        try:
            # immutable: no lock, no journal; the file is only looked at
            uri = f"file:{quote(str(self.path))}?mode=ro&immutable=1"
            with closing(sqlite3.connect(uri, uri=True)) as database:
                database.text_factory = lambda text: text.decode(errors="replace")
                database.execute("PRAGMA writable_schema = ON")  # opens a file that is shorter than it says
                for number, topic, kind in database.execute("SELECT id, name, type FROM topics"):
                    if isinstance(topic, str) and isinstance(kind, str):
                        self.channels[number] = (topic, kind)
                yield from self._rows(database)
        except sqlite3.Error as error:
            self.damage.append(f"{type(error).__name__}: {error}")

    def _rows(self, database: sqlite3.Connection) -> Iterator[tuple[str, int, bytes]]:
        lost = 0
        for logged, number in sorted(set(self._numbers(database))):
            if logged < 0:
                lost += 1
                continue
            try:
                query = "SELECT topic_id, timestamp, data FROM messages WHERE id = ?"
                channel, logged, data = database.execute(query, (number,)).fetchone()
            except (sqlite3.Error, TypeError):
                lost += 1
                continue
            if channel in self.channels and isinstance(logged, int) and isinstance(data, bytes):
                yield self.channels[channel][0], logged, data
            else:
                lost += 1
        if lost:
            self.damage.append(f"{lost} messages with damaged content")

    def _numbers(self, database: sqlite3.Connection) -> Iterator[tuple[int, int]]:
        """(log time, id) of every row that can be reached; log time -1 where it is damaged."""
        query = "SELECT timestamp, id FROM messages NOT INDEXED WHERE id >= ? ORDER BY id"
        start = 0
        while start < _LAST:
            try:
                for logged, number in database.execute(query, (start,)):
                    start = max(start, number + 1)
                    yield logged if isinstance(logged, int) else -1, number
                return
            except sqlite3.Error as error:
                after = self._next(database, start)
                self.damage.append(f"{error}: messages from number {start} on, up to {after or 'the end'}")
                if after is None:
                    return
                start = after

    def _next(self, database: sqlite3.Connection, bad: int) -> int | None:
        """The first id beyond the damage that a read from `bad` on meets; None where nothing follows."""

        def first(start: int) -> int | None:
            query = "SELECT id FROM messages NOT INDEXED WHERE id >= ? ORDER BY id LIMIT 1"
            try:
                row = database.execute(query, (start,)).fetchone()
            except sqlite3.Error:
                return None
            return _LAST if row is None else row[0]

        low, step = bad, 1
        while first(bad + step) is None:
            low, step = bad + step, step * 2
            if low >= _LAST:
                return None
        high = bad + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if first(middle) is None else (low, middle)
        return first(high)
