"""The parsers that are fuzzed: the valid inputs to begin with, and all that is done with one.

An input is answered by a value or by the parser's typed error. Anything else is a finding: another
exception, a value that says more than the input has, one that is not the same again after it was
written and read, and more time or memory than an input of that length may cost.
"""

from __future__ import annotations

import json
import re
import resource
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from tests.fakes import media
from tests.fmp4.media import muxed
from tests.fmp4.test_movie import even, written
from tests.wire.test_reference import PAGE, annotated, examples
from vidlink.errors import BadMessage, NotMedia
from vidlink.fmp4 import (
    MediaInfo,
    check_init,
    find_moof,
    iter_boxes,
    read_fragment,
    read_init,
    read_movie,
    read_samples,
    rebase_fragment,
    sample_description,
    shift_producer_time,
    write_fragment,
)
from vidlink.interfaces import ICodec
from vidlink.model import InitSegment, Segment
from vidlink.wire.binary import BinaryCodec
from vidlink.wire.cbor import CborCodec
from vidlink.wire.jsontext import JsonCodec
from vidlink.wire.protobuf import ProtobufCodec
from vidlink.wire.schema import from_plain

#: What an input of 1 MiB may cost, and a smaller one in proportion, ...
SECONDS, MEMORY_BYTES = 1.0, 100 * 1024 * 1024
#: ... but for this, which any may: the collector comes, and pages are taken from the system.
_SECONDS_ANYWAY, _BYTES_ANYWAY = 0.3, 8 * 1024 * 1024
_MEBIBYTE = 1024 * 1024


class Finding(AssertionError):
    """Something that a parser should not have done."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parser: valid inputs, words that it knows, and what is done with an input."""

    seeds: Callable[[], Iterable[bytes]]
    words: tuple[bytes, ...]
    take: Callable[[bytes], None]


@contextmanager
def within_bounds(size: int) -> Iterator[None]:
    """Look that what is done with an input of `size` octets costs no more than it may.

    :raises Finding: if it does.
    """
    share = size / _MEBIBYTE
    begun, before = time.process_time(), _peak_bytes()
    yield
    seconds, grown = time.process_time() - begun, _peak_bytes() - before
    if seconds > _SECONDS_ANYWAY + SECONDS * share:
        raise Finding(f"{size} octets take {seconds:.2f} s of a processor")
    if grown > _BYTES_ANYWAY + MEMORY_BYTES * share:
        raise Finding(f"{size} octets take {grown} octets of memory")


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _sure(is_so: bool, flaw: str) -> None:
    if not is_so:
        raise Finding(flaw)


def forget_peak() -> None:
    """Let what is grown by count from the memory of now, not from the most there was."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _codec_target(codec: ICodec) -> Target:
    """A format of the wire, as a server reads it."""
    texts = examples(PAGE, "json")
    words = sorted({word.encode() for text in texts for word in re.findall(r'"([\w.]+)"', text)})

    def seeds() -> Iterator[bytes]:
        for text in texts:
            plain = json.loads(text)
            with suppress(BadMessage):
                yield codec.encode(from_plain(plain))[0]
        for message in (
            Segment("desk-12", "s" * 16, 7, media.EPOCH_US, 200, 5_000, True, b"moof and mdat"),
            InitSegment("desk-12", "s" * 16, b"ftyp and moov", True),
        ):
            yield codec.encode(message)[0]
        for heading in ("Media in binary frames", "CBOR", "Protobuf"):
            yield from (payload for payload, _ in annotated(heading))

    def take(data: bytes) -> None:
        # Those of ours take views too.
        decode: Any = codec.decode
        for is_binary in (True, False):
            for payload in (data, memoryview(data)):
                try:
                    message = decode(payload, is_binary)
                except BadMessage as error:
                    _sure(len(str(error)) < 500, "an error repeats what was sent")
                    continue
                if isinstance(message, Segment | InitSegment):
                    _sure(0 < len(message.data) <= len(data), "media that were not sent")
                _sure(codec.decode(*codec.encode(message)) == message, "another message comes back")

    return Target(seeds, tuple(words), take)


#: As of an init of another writer than the one whose segments come: what it leaves to defaults.
_OTHERS = MediaInfo("avc1.42C01F", 64, 48, 1_000, 1, 77, 0, 5)


def _box_seeds() -> Iterator[bytes]:
    inits = [media.init_segment()]
    for flags in ("frag_keyframe", "frag_every_frame", "frag_keyframe+dash"):
        for b_frames in (0, 2):
            init, *segments = muxed(f"empty_moov+default_base_moof+{flags}", b_frames=b_frames)
            inits.append(init)
            yield from segments[:3]
    yield from inits
    for decode_time in (0, 2**40):
        yield write_fragment(
            sequence=3, decode_time=decode_time, duration=200, keyframe=not decode_time,
            data=bytes(50), producer_time_us=media.EPOCH_US,
        )  # fmt: skip
    for table in (even(1), even(7), replace(even(3), shifts=array("i", (0, 9, -9)))):
        yield written(table, bytes(12 * len(table.sizes)))


def _take_boxes(data: bytes) -> None:
    size = len(data)
    infos = [_OTHERS]
    with suppress(NotMedia):
        last = 0
        for box in iter_boxes(data):
            _sure(last == box.start < box.body <= box.end <= size, "a box beyond the data")
            last = box.end
    with suppress(NotMedia):
        info = read_init(data)
        infos.append(info)
        _sure(sample_description(data) in data, "a description that was not sent")
        check_init(data, info)
    for info in infos:
        with suppress(NotMedia):
            found = read_fragment(data, info)
            _sure(found.moof_start < size and found.sample_offset < size, "beyond the segment")
            _sure(found.sample_count > 0 and found.duration >= 0, "no frames")
            rebase_fragment(memoryview(bytearray(data)), found.decode_time // 2, info.timescale)
    with suppress(NotMedia):
        start, moof = find_moof(lambda place, count: data[place : place + count], size)
        _sure(data[start : start + len(moof)] == moof, "a moof that was not sent")
        for info in infos:
            samples = read_samples(moof, start, size, info)
            ends = map(sum, zip(samples.places, samples.sizes, strict=True))
            _sure(min(samples.places) > 0 and max(ends) <= size, "frames beyond the segment")
    with suppress(NotMedia):
        _sure(len(shift_producer_time(data, 1_000_000)) == size, "another length")
    with suppress(NotMedia):
        table = read_movie(data).samples
        columns = (table.places, table.sizes, table.times)
        _sure(len({len(column) for column in columns}) == 1, "columns of two lengths")
        _sure(len(table.sizes) <= size, "more frames than octets")


_KINDS = (
    b"ftyp moov mvhd trak tkhd edts elst mdia mdhd hdlr vide minf stbl stsd avc1 avc3 avcC mvex "
    b"trex styp sidx prft emsg moof mfhd traf tfhd tfdt trun mdat stts ctts stss stsz stsc stco "
    b"co64 free uuid"
)

#: What can be fuzzed, by its name.
TARGETS = {
    "boxes": Target(_box_seeds, tuple(_KINDS.split()), _take_boxes),
    "binary": _codec_target(BinaryCodec()),
    "cbor": _codec_target(CborCodec()),
    "json": _codec_target(JsonCodec()),
    "protobuf": _codec_target(ProtobufCodec()),
}
