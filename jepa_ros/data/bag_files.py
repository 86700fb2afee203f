"""Bags as files: where they are, what is in them, their messages; of a damaged bag, what is healthy.

Any storage that rosbags reads (MCAP, sqlite3; plain or compressed) of any ROS 2 distribution.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from jepa_ros.data.bag_writer import CUSTOM_KEY, zstd
from jepa_ros.data.mcap_salvage import McapSalvage
from jepa_ros.data.messages import build_typestore, own_types, typestore
from jepa_ros.data.sqlite_salvage import SqliteSalvage
from jepa_ros.errors import JepaError

STORAGE = {".mcap": "mcap", ".db3": "sqlite3"}
_REPAIR = {
    "mcap": "repair it with `mcap recover`, or record it again",
    "sqlite3": "repair it with sqlite3's `.recover`, or record it again",
    "metadata": "make its metadata.yaml anew with `ros2 bag reindex`",
    "": "is it a bag?",
}
_USED = "what is healthy in it is used; "
_NO_METADATA = "metadata.yaml is missing{}; read without it (`ros2 bag reindex` makes a new one)"


_LATEST = 2**62  # ns; later times of recording are damage
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class RawMessage:
    """One message as recorded. log_ns: when it was recorded.  data: CDR bytes."""

    topic: str
    msgtype: str
    log_ns: int
    data: bytes | memoryview


@dataclass(frozen=True)
class Connection:
    """One publisher's topic in a bag. msgcount: messages.  qos: offered profiles, of rosbags; often empty."""

    topic: str
    msgtype: str
    msgcount: int
    definition: str = ""
    qos: tuple = field(default=(), compare=False)


def find_bags(paths: Sequence[str | Path] | str | Path) -> list[Path]:
    """Bags at or under the paths, sorted within each path; hidden folders (unfinished bags) are left out.

    A bag is a folder with metadata.yaml, or an .mcap or .db3 file (or one of these as .zstd) without it.
    """
    paths = [paths] if isinstance(paths, (str, Path)) else paths
    bags = []
    for path in map(Path, paths):
        if not path.exists():
            raise JepaError(f"{path}: no such file or folder; give a bag or a folder of bags")
        found = list(_walk(path))
        if not found:
            raise JepaError(
                f"{path}: no bag in it; expected metadata.yaml with .mcap or .db3 files, "
                "as `jepa collect` or `ros2 bag record` write them"
            )
        bags += found
    return list(dict.fromkeys(bags))


def _walk(path: Path) -> Iterator[Path]:
    if path.is_file():
        if Path(path.name.removesuffix(".zstd")).suffix in STORAGE:
            yield path
    elif (path / "metadata.yaml").exists():
        yield path
    else:
        children = sorted(c for c in path.iterdir() if not c.name.startswith("."))
        for child in children:
            yield from _walk(child)


def content_digest(path: Path) -> str:
    """sha256 over the bag's storage files, whatever the bag's name and place."""
    digest = hashlib.sha256()
    for file in _storage_files(path):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _storage_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = [f for f in path.iterdir() if f.suffix in (*STORAGE, ".zstd") and f.is_file()]
    return sorted(files, key=lambda f: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", f.name)])


class BagFile:
    """An open bag; a context manager. JepaError where nothing at all can be read.

    connections: what is in it.  metadata: what a recorder of this package wrote into it, else {}.
    storage: "mcap" or "sqlite3".  damage: what is damaged and what became of it, filled while reading.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.damage: list[str] = []
        self._stack = ExitStack()
        self._store: Typestore | None = None
        file, custom = _single_file(self.path) if self.path.is_dir() else (self.path, None)
        if self.path.is_file() and not (self.path.parent / "metadata.yaml").exists():
            self.damage.append(_NO_METADATA.format(" beside it"))
        names = [f.name.removesuffix(".zstd") for f in _storage_files(self.path)]
        self.storage = next((STORAGE[Path(n).suffix] for n in names if Path(n).suffix in STORAGE), "")
        self._repair = _REPAIR[self.storage]
        self._reader: Reader | None = None
        try:
            reader = Reader(file)
            self._stack.enter_context(reader)
            self._reader = reader
            self.connections = tuple(map(_connection, reader.connections))
            custom = custom or reader.storage.metadata.custom
        except Exception as error:  # rosbags raises many kinds on damaged bytes
            if self.path.is_dir() and not (self.path / "metadata.yaml").exists():
                self.damage.append(_NO_METADATA.format(" in it"))
            else:
                repair = (
                    _REPAIR["metadata"]
                    if re.search("metadata|files are missing", str(error))
                    else self._repair
                )
                self.damage.append(f"damaged ({_words(error)}); {_USED}{repair}")
            self._reader = None
            self.connections, salvaged = self._survey()
            custom = custom or salvaged
        if not custom and self.storage == "mcap" and self.path.is_file():
            custom = _early_metadata(self.path)
        self.metadata = self._recorder_metadata(custom or {})

    def __enter__(self) -> "BagFile":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Close the files. Closing twice is allowed."""
        self._stack.close()
        self._reader = None

    def messages(self, topics: Collection[str] | None = None) -> Iterator[RawMessage]:
        """The messages of these topics (None: of all) in the order of recording.

        Damage ends nothing: what is healthy comes, the rest is in ``damage``.
        """
        wanted = {c.topic: c.msgtype for c in self.connections if topics is None or c.topic in topics}
        if not wanted:
            return
        given = 0
        if self._reader is not None:
            chosen = [c for c in self._reader.connections if c.topic in wanted]
            try:
                for connection, logged, data in self._reader.messages(chosen):
                    given += 1
                    if _is_healthy(logged, data):
                        yield RawMessage(connection.topic, connection.msgtype, logged, _unpacked(data))
                    else:
                        self._note("damaged: messages without a time of recording are left out")
            except Exception as error:  # rosbags raises many kinds on damaged bytes
                self._note(f"damaged ({_words(error)}); {_USED}{self._repair}")
            else:
                left = sum(c.msgcount for c in chosen) - given
                if left <= 0:
                    return
                self._note(f"damaged: {left} messages that its index counts are not in it; {self._repair}")
        seen = self._first(given, wanted)
        for topic, logged, data in self._salvage():
            if topic not in wanted or not _is_healthy(logged, data):
                continue
            if seen[topic, logged] > 0:  # came before the damage
                seen[topic, logged] -= 1
                continue
            yield RawMessage(topic, wanted[topic], logged, _unpacked(data))

    def _first(self, count: int, topics: Collection[str]) -> Counter:
        """How often each (topic, log time) is among the first messages of a file that ends in damage."""
        if not count:
            return Counter()
        chosen = [c for c in self._reader.connections if c.topic in topics]
        return Counter((c.topic, logged) for c, logged, _ in islice(self._reader.messages(chosen), count))

    def deserialize(self, message: RawMessage):
        """The message as a dataclass of rosbags; ValueError where its bytes are not of its type."""
        try:
            return self._types.deserialize_cdr(message.data, message.msgtype)
        except Exception as error:  # rosbags raises many kinds on damaged bytes
            raise ValueError(f"not a {message.msgtype}: {_words(error)}") from error

    def knows(self, msgtype: str) -> bool:
        """Whether messages of the type can be deserialised."""
        return msgtype in (self._store or self._types).fielddefs

    def starts_with_header(self, msgtype: str) -> bool:
        """Whether a std_msgs/Header is the first field of the type, so that its stamp can be read."""
        fields = self._types.fielddefs.get(msgtype, ((), []))[1]
        return bool(fields) and fields[0][1][1] == "std_msgs/msg/Header"

    @property
    def _types(self) -> Typestore:
        """Jazzy's types (those of the roles are the same from Humble to Lyrical) and this package's; where
        the bag defines others, or this package's of another version, the bag's."""
        if self._store is None:
            self._store, own = typestore(), own_types()
            others: dict = {}
            for connection in self.connections:
                kind = connection.msgtype
                if connection.definition and (kind in own or not self.knows(kind)):
                    try:
                        types = get_types_from_msg(connection.definition, kind)
                    except Exception:  # a definition that rosbags cannot parse: the type stays unknown
                        continue
                    ours = {name for name in types if name in own} | {kind}
                    if any(types.get(name) != own.get(name) for name in ours):
                        others |= types
            if others:
                self._store = build_typestore(own | others)
        return self._store

    def _survey(self) -> tuple[tuple[Connection, ...], dict | None]:
        """Connections and recorder's metadata of what can be salvaged."""
        counts: Counter = Counter()
        kinds: dict[str, tuple[str, str]] = {}
        custom = None
        for salvage in self._salvages():
            for topic, *_ in salvage.messages():
                counts[topic] += 1
                if topic not in kinds:
                    kinds |= {name: (kind, *rest) for name, kind, *rest in salvage.channels.values()}
            custom = custom or salvage.metadata.get(CUSTOM_KEY)
        if not counts:
            self.close()
            reasons = "; ".join(self.damage).replace(_USED, "")
            raise JepaError(f"{self.path}: no message can be read from it: {reasons}")
        return tuple(Connection(t, kinds[t][0], n, _msg_text(*kinds[t])) for t, n in counts.items()), custom

    def _salvage(self) -> Iterator[tuple[str, int, bytes]]:
        for salvage in self._salvages():
            yield from salvage.messages()

    def _salvages(self) -> Iterator[McapSalvage | SqliteSalvage]:
        """One for every file; what they found is noted when the next is asked for."""
        for file in _storage_files(self.path):
            with _plain_file(file) as (plain, complaint):
                salvage = (McapSalvage if plain.suffix == ".mcap" else SqliteSalvage)(plain)
                yield salvage
                if complaint or salvage.damage:
                    self._note(f"{file.name}: {_some([*complaint, *salvage.damage])}")

    def _note(self, text: str) -> None:
        if text not in self.damage:
            self.damage.append(text)

    def _recorder_metadata(self, custom: dict) -> dict:
        try:
            metadata = json.loads(custom.get(CUSTOM_KEY, "{}"))
        except (ValueError, TypeError, AttributeError) as error:
            self._note(f"metadata.yaml: custom_data {CUSTOM_KEY!r} is not JSON: {error}; read without it")
            return {}
        return metadata if isinstance(metadata, dict) else {}


def _connection(connection) -> Connection:
    definition = connection.msgdef
    text = definition.data if definition.format == MessageDefinitionFormat.MSG else ""
    qos = tuple(connection.ext.offered_qos_profiles or ())
    topic, kind, count = connection.topic, connection.msgtype, connection.msgcount
    if not (isinstance(topic, str) and isinstance(kind, str) and isinstance(count, int)):
        raise ValueError(f"topic {topic!r} of type {kind!r} with {count!r} messages")
    return Connection(topic, kind, count, text, qos)


def _msg_text(kind: str, encoding: str = "", text: str = "") -> str:
    """The definition of a salvaged type where it is in the msg format."""
    return text if encoding == "ros2msg" else ""


def _is_healthy(logged, data) -> bool:
    """Whether a message has a time of recording, in ns, and bytes: a damaged file may give anything."""
    return isinstance(logged, int) and 0 <= logged < _LATEST and isinstance(data, bytes | memoryview)


def _unpacked(data: bytes) -> bytes:
    """The CDR bytes of a message that was compressed by itself, as far as rosbags has not unpacked it."""
    if data[:4] != _ZSTD:
        return data
    try:
        return zstd.decompress(data)
    except zstd.ZstdError:  # its type's reader says what is wrong with it
        return data


@contextmanager
def _plain_file(file: Path) -> Iterator[tuple[Path, list[str]]]:
    """(the file, complaints): of a compressed file a temporary one, as far as it can be unpacked."""
    if file.suffix != ".zstd":
        yield file, []
        return
    with TemporaryDirectory() as folder:
        plain, complaints = Path(folder, file.stem), []
        with plain.open("wb") as unpacked:
            try:
                with zstd.open(file, "rb") as packed:
                    while block := packed.read(1 << 16):
                        unpacked.write(block)
            except (OSError, EOFError, zstd.ZstdError) as error:
                complaints.append(_words(error))
        yield plain, complaints


def _single_file(path: Path) -> tuple[Path, dict | None]:
    """A plain bag's one MCAP file and its custom_data; other bags as they are, for rosbags to open or refuse.

    rosbags parses metadata.yaml in pure Python, which takes as long as reading fifty frames.
    """
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        text = (path / "metadata.yaml").read_text()
        info = yaml.load(text, loader)["rosbag2_bagfile_information"]
        (name,) = info["relative_file_paths"]
        if name.endswith(".mcap") and info.get("compression_mode", "").lower() in ("", "none"):
            return path / Path(name).name, info.get("custom_data")
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        pass
    return path, None


def _early_metadata(path: Path) -> dict | None:
    """The Metadata record of this package at the start of an MCAP file that has no metadata.yaml."""
    salvage = McapSalvage(path)
    next(salvage.messages(), None)
    return salvage.metadata.get(CUSTOM_KEY)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _some(texts: list[str], most: int = 3) -> str:
    more = f"; and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more
