"""Writes MCAP bags (rosbag2, zstd chunks) that `ros2 bag play` plays, without ROS."""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError

from jepa_ros.data.messages import serialize, typestore
from jepa_ros.errors import JepaError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd  # what rosbags itself compresses with

CUSTOM_KEY = "jepa_ros"
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

    path: the bag folder; it must not exist.
    topics: topic name -> message type ("sensor_msgs/msg/Image").
    metadata: a JSON-serialisable dict, kept in the bag's custom_data under "jepa_ros".
    latched: topics whose QoS is TRANSIENT_LOCAL (the others play back with rosbag2's defaults).
    """

    def __init__(
        self, path, topics: Mapping[str, str], metadata: dict | None = None, latched: Iterable[str] = ()
    ):
        self.path = Path(path)
        if self.path.exists():
            raise JepaError(f"{self.path} exists already; choose another bag folder or remove it")
        self._partial = partial_folder(self.path)
        shutil.rmtree(self._partial, ignore_errors=True)
        store = typestore()
        unknown = sorted({kind for kind in topics.values() if kind not in store.types})
        if unknown:
            raise JepaError(
                f"{self.path}: message types {unknown} are not known; expected ROS 2 Jazzy or jepa_ros types"
            )
        writer = Writer(self._partial / self.path.name, version=9, storage_plugin=StoragePlugin.MCAP)
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        if metadata is not None:
            writer.set_custom_data(CUSTOM_KEY, json.dumps(metadata))
        try:
            writer.open()
        except OSError as error:
            raise JepaError(f"{self.path}: cannot create the bag: {error.strerror or error}") from error
        writer.storage.compressor = _compress_with_checksum
        self._writer = writer
        self._connections = {
            topic: writer.add_connection(
                topic, kind, typestore=store, offered_qos_profiles=[_LATCHED] if topic in set(latched) else []
            )
            for topic, kind in topics.items()
        }
        self.count = 0

    def write(self, topic: str, nanoseconds: int, message) -> None:
        """Write a message made from messages.message_class, logged at `nanoseconds`."""
        self.write_raw(topic, nanoseconds, serialize(message))

    def write_raw(self, topic: str, nanoseconds: int, data: bytes | memoryview) -> None:
        """Write CDR bytes, as a raw subscription receives them."""
        if self._writer is None:
            raise JepaError(f"{self.path}: the bag is closed already")
        if topic not in self._connections:
            raise JepaError(
                f"{self.path}: topic {topic} was not declared; declared: {', '.join(self._connections)}"
            )
        try:
            self._writer.write(self._connections[topic], int(nanoseconds), data)
        except (OSError, WriterError) as error:
            raise JepaError(f"{self.path}: cannot write {topic}: {error}") from error
        self.count += 1

    def close(self) -> None:
        """Finish the files and move the bag to its path. Closing twice is allowed."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        try:
            writer.close()
            (self._partial / self.path.name).rename(self.path)
        except OSError as error:
            raise JepaError(f"{self.path}: cannot finish the bag: {error}") from error
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)

    def abort(self) -> None:
        """Drop everything written."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.abort()
            shutil.rmtree(self._partial, ignore_errors=True)

    def __enter__(self) -> "BagWriter":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.close() if kind is None else self.abort()


def _compress_with_checksum(data: bytes) -> bytes:
    """A zstd frame that every reader checks, so that flipped bits on disk do not become wrong pixels."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


def partial_folder(path: Path) -> Path:
    """Where an unfinished bag of this path lives."""
    return path.parent / f".{path.name}.partial"
