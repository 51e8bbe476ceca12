"""The database for a check that changes nothing: a copy of it, with what its log holds.

SQLite cannot read a database in WAL mode without making files beside it, or else passes over
the log; so the check reads a copy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from vidlink.store.files.paths import Paths
from vidlink.store.fsck.findings import Finding, FindingKind
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.database import Index, UnusableIndex


@contextmanager
def copied_database(paths: Paths, uuid: str) -> Iterator[tuple[Index, Catalog] | Finding]:
    """A copy of the database to read in a ``with``, or what is wrong with it.

    :raises OSError, ~vidlink.errors.StoreError: if it cannot be read.
    """
    if not os.path.exists(paths.index):
        yield Finding(
            FindingKind.INDEX, "there is no database; it can be made anew from the folders"
        )
        return
    with tempfile.TemporaryDirectory(prefix="vidlink-fsck-") as folder:
        path = os.path.join(folder, os.path.basename(paths.index))
        for suffix in ("", "-wal"):
            if os.path.exists(paths.index + suffix):
                shutil.copyfile(paths.index + suffix, path + suffix)
        index = Index(path, uuid)
        try:
            index.open()
        except UnusableIndex as error:
            yield Finding(FindingKind.INDEX, f"{error}; it can be made anew from the folders")
            return
        catalog = Catalog(path)
        try:
            yield index, catalog
        finally:
            catalog.close()
            index.close()
