"""Makes sure that what was deleted from an SQLite file is gone from its bytes.

SQLite leaves deleted content where it was until something else takes the place: in free pages, in the gaps of pages in use,
and in the write-ahead log until that is folded in and cut off. `VACUUM` makes every page anew, but appenders wait for it, so
only files up to a size are. Of larger ones the free pages are emptied, which needs no exclusive lock.

Source: "File Format", sections 1.5 and 1.6, "WAL-mode File Format" and "PRAGMA secure_delete" of SQLite's documentation.
"""

import sqlite3
import time
from contextlib import suppress
from typing import Final

_SLICE_BYTES: Final = 16 * 2**20
"""Written at once: appenders wait for some tenths of a second at most."""
WHOLE_BYTES: Final = 256 * 2**20
"""Files up to this size are made anew whole: of 129 MiB that took 0.7 s, for which appenders wait; they have 30 s."""
_TABLE: Final = "erasing"
_TRIES: Final = 20


def erase_unused(connection: sqlite3.Connection) -> None:
    """Makes sure that a file holds no byte but what its rows say; of a large one, none in pages that no row is in.

    `secure_delete` is on afterwards.
    """
    connection.execute("PRAGMA secure_delete=ON")
    pages, page = (int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
    if pages * page <= WHOLE_BYTES:
        connection.execute("VACUUM")
    else:
        _erase_free_pages(connection)


def _erase_free_pages(connection: sqlite3.Connection) -> None:
    """Fills the free pages of a file with zeros, and gives them back; appenders go on in between."""
    with suppress(sqlite3.OperationalError):  # left by a crash
        connection.execute(f"DROP TABLE {_TABLE}")
    page = int(connection.execute("PRAGMA page_size").fetchone()[0])
    free = _free_pages(connection)
    if not free:
        return
    connection.execute(f"CREATE TABLE {_TABLE} (zeros BLOB)")
    while free := _free_pages(connection):
        connection.execute(f"INSERT INTO {_TABLE} VALUES (zeroblob(?))", (min(free * (page - 4), _SLICE_BYTES),))
    connection.execute(f"DROP TABLE {_TABLE}")


def _free_pages(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def truncate_wal(connection: sqlite3.Connection) -> bool:
    """Folds the write-ahead log in and cuts it off; False where readers held on to it all the time."""
    for _ in range(_TRIES):
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if not busy:
            return True
        time.sleep(0.1)
    return False
