"""The start, of what was being deleted: what has a receipt is deleted to the end.

A kill may come between any two steps of `deleting.remover`; the receipt says that there is no
way back.
"""

from __future__ import annotations

import os
import stat

from twisted.logger import Logger

from vidlink.disk import Disk
from vidlink.model import is_sentinel_id
from vidlink.store.files.paths import Paths
from vidlink.store.files.receipts import ReceiptFile
from vidlink.store.handover.orders import Forget
from vidlink.store.index.database import Index

_log = Logger()
#: So many receipts go into one transaction.
_BATCH = 1_024


def add_receipts(index: Index, receipts: ReceiptFile) -> None:
    """Let the database know every receipt, and forget whatever session has one.

    :raises OSError: the disk fails.
    :raises StoreError: the database fails.
    """
    found: list[Forget] = []
    for receipt, place, size in receipts.open(index.receipts_end()):
        assert receipt.number is not None, "it was read"
        ids = receipt.sentinel_id, receipt.session_id
        found.append(Forget(*ids, receipt.number, place, size))
        if len(found) == _BATCH:
            index.save((), found)
            found.clear()
    index.save((), found)


def put_away(sentinel_id: str, session_id: str, paths: Paths, disk: Disk) -> None:
    """Move the folder of a session that has a receipt to where it is removed."""
    folder = paths.session(sentinel_id, session_id)
    try:
        disk.make_folders(paths.deleting)
        disk.rename(folder, os.path.join(paths.deleting, session_id))
    except OSError as error:
        _log.error(
            "{folder} has a receipt and cannot be moved: {why}", folder=folder, why=str(error)
        )
    else:
        _log.info("{folder} was being deleted, and is removed", folder=folder)


def clear_sentinels(paths: Paths) -> None:
    """Remove the folders of Sentinels without any session: while one may begin, they stay.

    Those that earlier versions left open to everybody are closed to others than the group.
    """
    with os.scandir(paths.recordings) as sentinels:
        for sentinel in sentinels:
            # Of others nothing is ours to remove, such as lost+found.
            if is_sentinel_id(sentinel.name) and sentinel.is_dir(follow_symlinks=False):
                try:
                    mode = stat.S_IMODE(sentinel.stat().st_mode)
                    if mode & 0o007:
                        os.chmod(sentinel.path, mode & ~0o007)
                    if not os.listdir(sentinel.path):
                        os.rmdir(sentinel.path)
                except OSError as error:
                    _log.warn("{folder} stays: {why}", folder=sentinel.path, why=str(error))
