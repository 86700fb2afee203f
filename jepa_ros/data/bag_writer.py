"""Writes MCAP bags (rosbag2, zstd chunks) that `ros2 bag play` plays, without ROS."""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError
from rosbags.rosbag2.storage_mcap import write_record, write_string, write_uint32

from jepa_ros.data.installed_types import knows
from jepa_ros.data.messages import serialize, typestore
from jepa_ros.errors import JepaError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd  # what rosbags itself compresses with

CUSTOM_KEY = "jepa_ros"
COMPRESSIONS = ("zstd", "none")
_METADATA_RECORD = 0x0C  # MCAP: a name and a map of strings
_LATCHED = Qos(
    QosHistory.KEEP_LAST,
    1,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    QosTime(0, 0),
    QosTime(0, 0),
    QosLiveliness.AUTOMATIC,
    QosTime(0, 0),
    False,
)


class BagWriter:
    """One bag, a folder of metadata.yaml and one .mcap file.

    The bag grows in a hidden folder beside `path` and moves to `path` in close(): a bag at `path` is always
    whole, and an interrupted one is never mistaken for it. As a context manager it closes, or aborts on an
    exception.

    live: for what cannot be recorded again. The bag grows at `path` itself, keeps what was written whatever
    happens (abort() closes it too), and holds all that was written before the last flush() after a crash: an
    .mcap file that only lacks its index. Its metadata then lie in the file's Metadata records "jepa_ros", of
    which the last counts.

    path: the bag folder; it must not exist.
    topics: topic name -> message type ("sensor_msgs/msg/Image").
    metadata: a JSON-serialisable dict, kept in the bag's custom_data under "jepa_ros".
    latched: topics whose QoS is TRANSIENT_LOCAL (the others play back with rosbag2's defaults).
    compression: of the chunks, "zstd" or "none".
    """

    def __init__(
        self,
        path,
        topics: Mapping[str, str],
        metadata: dict | None = None,
        latched: Iterable[str] = (),
        *,
        live: bool = False,
        compression: str = "zstd",
    ):
        self.path = Path(path)
        if self.path.exists():
            raise JepaError(f"{self.path} exists already; choose another bag folder or remove it")
        self._partial = None if live else partial_folder(self.path)
        if not live:
            shutil.rmtree(self._partial, ignore_errors=True)
        unknown = sorted({kind for kind in topics.values() if not knows(kind)})
        if unknown:
            raise JepaError(
                f"{self.path}: message types {unknown} are not known; expected ROS 2 Jazzy or jepa_ros types"
            )
        writer = Writer(
            self.path if live else self._partial / self.path.name,
            version=9,
            storage_plugin=StoragePlugin.MCAP,
        )
        if compression not in COMPRESSIONS:
            raise JepaError(f"compression is {compression!r}; choose one of {', '.join(COMPRESSIONS)}")
        if compression == "zstd":
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        try:
            writer.open()
        except OSError as error:
            raise JepaError(f"{self.path}: cannot create the bag: {error.strerror or error}") from error
        if compression == "zstd":
            writer.storage.compressor = _compress_with_checksum
        self._writer = writer
        self._connections = {}
        latched = set(latched)
        for topic, kind in topics.items():
            self.add_topic(topic, kind, [_LATCHED] if topic in latched else [])
        if metadata is not None:
            self.set_metadata(metadata)
        self.count = 0

    def add_topic(self, topic: str, kind: str, qos: Sequence[Qos] = ()) -> None:
        """Declare a topic. qos: what its publishers offer."""
        if not knows(kind):
            raise JepaError(f"{self.path}: {topic}: the message type {kind} is not known")
        self._connections[topic] = self._open.add_connection(
            topic, kind, typestore=typestore(), offered_qos_profiles=list(qos)
        )

    def set_metadata(self, metadata: dict) -> None:
        """Replace the metadata."""
        text = json.dumps(metadata)
        self._open.set_custom_data(CUSTOM_KEY, text)
        if self._partial is None:
            self._guarded("its metadata", lambda: self._write_metadata_record(text))

    def write(self, topic: str, nanoseconds: int, message) -> None:
        """Write a message made from messages.message_class, logged at `nanoseconds`."""
        self.write_raw(topic, nanoseconds, serialize(message))

    def write_raw(self, topic: str, nanoseconds: int, data: bytes | memoryview) -> None:
        """Write CDR bytes, as a raw subscription receives them."""
        writer = self._open
        if topic not in self._connections:
            raise JepaError(
                f"{self.path}: topic {topic} was not declared; declared: {', '.join(self._connections)}"
            )
        self._guarded(topic, lambda: writer.write(self._connections[topic], int(nanoseconds), data))
        self.count += 1

    def flush(self) -> None:
        """Hand everything written so far to the operating system, as a chunk that a reader can take alone."""
        storage = self._open.storage

        def flush():
            if storage.chunk.msgs:
                storage.close_chunk()
            storage.bio.flush()

        self._guarded("a chunk", flush)

    def close(self) -> None:
        """Finish the files and move the bag to its path. Closing twice is allowed."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        try:
            writer.close()
            if self._partial is not None:
                (self._partial / self.path.name).rename(self.path)
        except OSError as error:
            raise JepaError(f"{self.path}: cannot finish the bag: {error}") from error
        finally:
            if self._partial is not None:
                shutil.rmtree(self._partial, ignore_errors=True)

    def abort(self) -> None:
        """Drop everything written; a live bag is closed."""
        if self._partial is None:
            self.close()
        elif self._writer is not None:
            writer, self._writer = self._writer, None
            writer.abort()
            shutil.rmtree(self._partial, ignore_errors=True)

    def __enter__(self) -> "BagWriter":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.close() if kind is None else self.abort()

    @property
    def _open(self) -> Writer:
        if self._writer is None:
            raise JepaError(f"{self.path}: the bag is closed already")
        return self._writer

    def _guarded(self, what: str, action) -> None:
        try:
            action()
        except (OSError, WriterError) as error:
            raise JepaError(f"{self.path}: cannot write {what}: {error}") from error

    def _write_metadata_record(self, text: str) -> None:
        pair, record = BytesIO(), BytesIO()
        write_string(pair, CUSTOM_KEY)
        write_string(pair, text)
        write_string(record, CUSTOM_KEY)
        write_uint32(record, pair.tell())
        record.write(pair.getbuffer())
        write_record(self._writer.storage.bio, _METADATA_RECORD, record)
        self._writer.storage.bio.flush()


def _compress_with_checksum(data: bytes) -> bytes:
    """A zstd frame that every reader checks, so that flipped bits on disk do not become wrong pixels."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


def partial_folder(path: Path) -> Path:
    """Where an unfinished bag of this path lives."""
    return path.parent / f".{path.name}.partial"
