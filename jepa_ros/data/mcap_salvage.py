"""What is healthy in a damaged MCAP file: chunk by chunk, whatever became of the index.

The format: https://mcap.dev/spec. A file that was cut off (a killed recorder, a full disk) keeps every whole
chunk; a chunk with a wrong checksum is left out, and the
next one is looked for. One record at a time is in memory.
"""

import os
import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Message, Metadata, Schema
from mcap.stream_reader import breakup_chunk

_MAGIC = b"\x89MCAP0\r\n"
_HEADER = 9  # opcode and length of a record
_COMPRESSION_AT = (
    _HEADER + 28
)  # of a chunk: its field `compression`, from which a lost scan finds a chunk again
_MARKS = (b"\x04\x00\x00\x00zstd", b"\x03\x00\x00\x00lz4")
_USED = (Opcode.CHUNK, Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE, Opcode.METADATA)
_LARGEST = 1 << 30  # bytes that a chunk may unpack to
_WINDOW = 1 << 24  # bytes that are searched at once


class McapSalvage:
    """Reads one file from front to back. damage: what was left out, filled while reading.

    channels: id to (topic, type, encoding of its schema, schema text), as far as they were come across.
    metadata: name to dict of the Metadata records.
    """

    def __init__(self, path: Path):
        self.path = path
        self.damage: list[str] = []
        self.channels: dict[int, tuple[str, str, str, str]] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self._schemas: dict[int, Schema] = {}

    def messages(self) -> Iterator[tuple[str, int, bytes]]:
        """(topic, log time in ns, CDR bytes) of every healthy message, in the file's order."""
        with open(self.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                self.damage.append("the file is empty")
                return
            if file.read(len(_MAGIC)) != _MAGIC:
                self.damage.append("it does not begin like an MCAP file")
            yield from self._scan(file, size)

    def _scan(self, file: BinaryIO, size: int) -> Iterator[tuple[str, int, bytes]]:
        position, ended = len(_MAGIC), False
        while position + _HEADER <= size and not ended:
            opcode, length = struct.unpack("<BQ", _read(file, position, _HEADER))
            body = position + _HEADER
            known = 1 <= opcode <= 0x0F or opcode >= 0x80  # 0x80 on: private records
            if not known or body + length > size:
                self.damage.append(
                    f"at byte {position} of {size}: "
                    + ("the file ends within a record" if known else "no record begins")
                )
                position = _next_chunk(file, size, position + 1)
                continue
            ended = opcode == Opcode.FOOTER
            try:
                if opcode in _USED:
                    yield from self._record(opcode, _read(file, body, length))
            except Exception as error:  # damaged bytes raise many kinds
                self.damage.append(f"at byte {position}: {type(error).__name__}: {error}")
            position = body + length
        if not ended:
            self.damage.append("the file has no end: its recorder was cut off, or the file was")

    def _record(self, opcode: int, body: bytes) -> Iterator[tuple[str, int, bytes]]:
        stream = ReadDataStream(BytesIO(body))
        if opcode == Opcode.CHUNK:
            chunk = Chunk.read(stream)
            if chunk.uncompressed_size > _LARGEST:
                raise ValueError(f"a chunk of {chunk.uncompressed_size} bytes")
            for record in breakup_chunk(chunk, validate_crc=True):
                yield from self._take(record)
        elif opcode == Opcode.SCHEMA:
            yield from self._take(Schema.read(stream))
        elif opcode == Opcode.CHANNEL:
            yield from self._take(Channel.read(stream))
        elif opcode == Opcode.MESSAGE:
            yield from self._take(Message.read(stream, len(body)))
        elif opcode == Opcode.METADATA:
            record = Metadata.read(stream)
            self.metadata[record.name] = dict(record.metadata)

    def _take(self, record) -> Iterator[tuple[str, int, bytes]]:
        if isinstance(record, Schema):
            self._schemas[record.id] = record
        elif isinstance(record, Channel):
            schema = self._schemas.get(record.schema_id)
            if schema is not None:
                text = schema.data.decode(errors="replace")
                self.channels[record.id] = (record.topic, schema.name, schema.encoding, text)
        elif isinstance(record, Message) and record.channel_id in self.channels:
            yield self.channels[record.channel_id][0], record.log_time, record.data


def _read(file: BinaryIO, position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length)


def _next_chunk(file: BinaryIO, size: int, start: int) -> int:
    """Where the next chunk record begins; the file's size where there is none."""
    at = start + _COMPRESSION_AT
    while at < size:
        window = _read(file, at, _WINDOW)
        for hit in sorted(hit for mark in _MARKS for hit in _hits(window, mark)):
            begin = at + hit - _COMPRESSION_AT
            opcode, length = struct.unpack("<BQ", _read(file, begin, _HEADER))
            if opcode == Opcode.CHUNK and begin + _HEADER + length <= size:
                return begin
        at += _WINDOW - max(map(len, _MARKS))  # a mark may lie across the windows' border
    return size


def _hits(window: bytes, mark: bytes) -> Iterator[int]:
    at = window.find(mark)
    while at >= 0:
        yield at
        at = window.find(mark, at + 1)
