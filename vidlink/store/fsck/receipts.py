"""Checking ``receipts.jsonl``: whether it can be read, and whether the database has it too.

What has a receipt is deleted, whatever else there is of it: such a session is not damaged, and
the next start removes what is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from vidlink.errors import StoreError
from vidlink.store.files.receipts import ReceiptFile, read_receipt
from vidlink.store.fsck.findings import Finding, FindingKind
from vidlink.store.handover.orders import Forget
from vidlink.store.index.catalog import Catalog
from vidlink.store.index.database import Index
from vidlink.store.index.deletions import every_receipt


@dataclass(slots=True)
class CheckedReceipts:
    """The receipts as they were found.

    `numbers` has, of each session that was deleted, the number of its receipt; `fresh` are those
    that the database does not know.
    """

    findings: list[Finding] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    fresh: list[Forget] = field(default_factory=list)

    def mend(self, index: Index) -> None:
        """Tell the database what it does not know.

        :raises StoreError: if it cannot be told.
        """
        index.save((), self.fresh)
        self.findings = [
            replace(one, mended="taken into the database") if one.session_id is not None else one
            for one in self.findings
        ]


def check_receipts(file: ReceiptFile, catalog: Catalog | None) -> CheckedReceipts:
    """Hold the file against the database, if there is one; nothing is changed.

    :raises OSError, StoreError: if one of them cannot be read.
    """
    checked = CheckedReceipts()
    rows = {} if catalog is None else every_receipt(catalog)
    end_bytes = max((place + size for _, place, size in rows.values()), default=0)
    for order in _read(file, checked):
        checked.numbers[order.session_id] = order.number
        row = order.session_id, order.place, order.size_bytes
        if catalog is not None and rows.pop(order.number, None) != row:
            checked.fresh.append(order)
            # What came last was on its way there when the server was killed.
            kind = FindingKind.UNFINISHED if order.place >= end_bytes else FindingKind.RECEIPT
            text = f"the database does not know receipt {order.number:,}"
            checked.findings.append(Finding(kind, text, order.sentinel_id, order.session_id))
    for number, (session_id, _, _) in rows.items():
        text = f"receipt {number:,}, of {session_id}, is not in receipts.jsonl any more"
        checked.findings.append(Finding(FindingKind.RECEIPT, text))
    return checked


def _read(file: ReceiptFile, checked: CheckedReceipts) -> Iterator[Forget]:
    """Every sound receipt, as the order to the database that follows from it."""
    for place, line in file.lines():
        if not line.endswith(b"\n"):
            text = "receipts.jsonl has a line without an end; the next start cuts it"
            checked.findings.append(Finding(FindingKind.UNFINISHED, text))
            return
        try:
            receipt = read_receipt(line)
        except StoreError as error:
            text = f"receipts.jsonl at octet {place:,}: {error}"
            checked.findings.append(Finding(FindingKind.RECEIPT, text))
        else:
            assert receipt.number is not None, "it was read"
            ids = receipt.sentinel_id, receipt.session_id
            yield Forget(*ids, receipt.number, place, len(line))
