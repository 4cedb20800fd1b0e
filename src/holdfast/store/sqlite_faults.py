"""SQLite's errors as who must act (sqlite.org/rescode.html)."""

from __future__ import annotations

import re
import sqlite3
from typing import Final

from holdfast.core.errors import Corrupt, HoldfastError, Rejected, Unavailable

_DATA_FAULTS: Final = (
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_RANGE,
)
_STATEMENT_FAULTS: Final = re.compile(
    r"no such (table|column|function|module|collation sequence)\b"
    r"|syntax error$|^incomplete input|^unrecognized token"
    r"|has no column named|^ambiguous column name|^table .* has \d+ columns|values for \d+ columns$"
    r"|^wrong number of arguments|^misuse of|^ON CONFLICT clause does not match|\bbinding"
)
"""How SQLite, and Python's driver, word that a statement can't be right whatever the disk does."""


def translate(fault: BaseException | None) -> HoldfastError:
    """The error of ours that a driver's error is.

    Unavailable for all that time may mend, and for what is not known: then the applier waits, and parks
    nothing. `internal` for a statement that is wrong in itself, which no waiting mends: a fault of ours.
    """
    code = getattr(fault, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        hint = "See docs/runbooks/store-out.md."
        return Corrupt(f"the store's file is damaged: {fault}", code="store_corrupt", hint=hint)
    if code & 0xFF in _DATA_FAULTS:
        return Rejected(f"the data breaks a rule of the tables: {fault}", code="poison")
    if isinstance(fault, sqlite3.DataError | sqlite3.InterfaceError | OverflowError | UnicodeEncodeError):
        return Rejected(f"the data does not fit the tables: {fault}", code="poison")
    # One code for much: a disk that filled also leaves "no such savepoint" and "no transaction is
    # active" behind it under this one, so the words decide.
    if code == sqlite3.SQLITE_ERROR and _STATEMENT_FAULTS.search(str(fault)):
        named = getattr(fault, "sqlite_errorname", type(fault).__name__)
        return HoldfastError(f"a statement of the portal's own is wrong: {fault} ({named})")
    return Unavailable(f"the store does not answer: {fault}", retry_s=5.0)
