"""What is healthy in a damaged MCAP file: chunk by chunk, whatever became of the index.

The format: https://mcap.dev/spec. A file that was cut off (a killed recorder, a full disk) keeps every whole chunk; a
chunk with a wrong checksum is left out, and the next one is looked for.
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from mmap import ACCESS_READ, mmap
from pathlib import Path

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
_LARGEST = 1 << 30  # bytes that a chunk may unpack to


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
            if not file.read(1):
                self.damage.append("the file is empty")
                return
            with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
                if data[: len(_MAGIC)] != _MAGIC:
                    self.damage.append("it does not begin like an MCAP file")
                yield from self._scan(data)

    def _scan(self, data: mmap) -> Iterator[tuple[str, int, bytes]]:
        position, ended = len(_MAGIC), False
        while position + _HEADER <= len(data) and not ended:
            opcode, length = struct.unpack_from("<BQ", data, position)
            body = position + _HEADER
            known = 1 <= opcode <= 0x0F or opcode >= 0x80  # 0x80 on: private records
            if not known or body + length > len(data):
                self.damage.append(
                    f"at byte {position} of {len(data)}: "
                    + ("the file ends within a record" if known else "no record begins")
                )
                position = self._next_chunk(data, position + 1)
                continue
            ended = opcode == Opcode.FOOTER
            try:
                yield from self._record(opcode, data[body : body + length])
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

    @staticmethod
    def _next_chunk(data: mmap, start: int) -> int:
        """Where the next chunk record begins; the file's length where there is none."""
        found = []
        for mark in _MARKS:
            at = data.find(mark, start + _COMPRESSION_AT)
            while at >= 0:
                begin = at - _COMPRESSION_AT
                opcode, length = struct.unpack_from("<BQ", data, begin)
                if opcode == Opcode.CHUNK and begin + _HEADER + length <= len(data):
                    found.append(begin)
                    break
                at = data.find(mark, at + 1)
        return min(found, default=len(data))
