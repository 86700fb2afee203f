"""What reading a bag gave, kept on disk: the next epoch or run takes it from there and decodes nothing.

One file per bag and settings. It is used while the bag's files, the settings and the code that reads are
what they were, and written anew otherwise, so a bag that changes leaves nothing behind. A file appears whole
(written elsewhere, then renamed) and has a checksum, so several processes may share a cache without locks: at
worst each reads a bag that nobody had read, and the last file written stays.
"""

import hashlib
import json
import logging
import mmap
import os
import struct
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from jepa_ros.data.episodes import Episode
from jepa_ros.data.load_report import BagResult, Problem
from jepa_ros.errors import JepaError

LIMIT_BYTES = 20 * 10**9
MAP_FROM_BYTES = 64 * 2**20
_FORMAT = 1
_START = struct.Struct("<8sII")  # magic, crc32 of what follows the start, length of the header
_MAGIC = b"jepabag\0"
_ALIGN = 64
_ARRAYS = {"images": "uint8", "joint_positions": "float32", "actions": "float32", "stamps": "float64"}


def default_folder() -> Path:
    """$XDG_CACHE_HOME/jepa_ros/bags, or ~/.cache/jepa_ros/bags."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "jepa_ros" / "bags"


@dataclass(frozen=True)
class BagCache:
    """Results of reading bags in a folder, made where it is missing.

    An entry takes about its images: frames * h * w * 3 bytes. ``prune`` keeps all of them below limit_bytes.
    settings, everywhere: a JSON-able dict of all that decides what reading a bag gives.
    """

    folder: Path
    limit_bytes: int = LIMIT_BYTES

    def __post_init__(self):
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise JepaError(
                f"cache folder {self.folder}: cannot write there ({error.strerror}); choose another with "
                "--cache DIR, or --no-cache"
            ) from error

    def load(self, bag: Path, settings: dict) -> BagResult | None:
        """What is kept of a bag; None where nothing valid is. Writing to the arrays changes no file."""
        file = self._file(bag, settings)
        try:
            result = _decode(_read(file), bag, _identity(bag, settings))
            if result is not None:
                os.utime(file)
        except (OSError, ValueError, LookupError, TypeError, struct.error):  # absent, or damaged
            return None
        return result

    def store(self, result: BagResult, settings: dict, identity: dict) -> None:
        """Keep a result. A full disk costs the entry and a warning, nothing else.

        identity: ``identity(bag, settings)`` from before the bag was read; if it changed, nothing is kept.
        """
        bag = result.path
        try:
            if _identity(bag, settings) != identity:
                return
            handle, partial = tempfile.mkstemp(dir=self.folder, suffix=".partial")
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.writelines(_encode(result, identity))
                os.replace(partial, self._file(bag, settings))
            except BaseException:
                os.unlink(partial)
                raise
        except OSError as error:
            logging.getLogger(__name__).warning("%s: not kept in the cache: %s", bag, error)

    def identity(self, bag: Path, settings: dict) -> dict | None:
        """What must stay the same for an entry to be used; None where the bag's files cannot be looked at."""
        try:
            return _identity(bag, settings)
        except OSError:
            return None

    def size(self) -> int:
        """Bytes in the folder."""
        return sum(size for _, size, _ in self._entries())

    def prune(self) -> None:
        """Remove the entries that were not used for longest, until the rest is below limit_bytes."""
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for _, size, file in entries:
            if total <= self.limit_bytes:
                return
            file.unlink(missing_ok=True)
            total -= size

    def _entries(self) -> list[tuple[int, int, Path]]:
        """(last used in ns, bytes, file), unfinished ones included: a killed process leaves them."""
        entries = []
        with os.scandir(self.folder) as files:
            for file in files:
                try:
                    status = file.stat()
                except FileNotFoundError:  # another process removed or finished it
                    continue
                if file.name.endswith((".bag", ".partial")):
                    entries.append((status.st_mtime_ns, status.st_size, Path(file.path)))
        return entries

    def _file(self, bag: Path, settings: dict) -> Path:
        key = json.dumps([str(bag.resolve()), settings], sort_keys=True)
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.bag"


def _read(file: Path) -> bytearray | mmap.mmap:
    """The file's bytes: mapped where they are many, else copied, since each map keeps a file open."""
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size >= MAP_FROM_BYTES:
            return mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_COPY)
        content = bytearray(size)
        stream.readinto(content)
        return content


def _identity(bag: Path, settings: dict) -> dict:
    """OSError where the bag's files are not there."""
    files = [bag, bag.parent / "metadata.yaml"] if bag.is_file() else sorted(bag.iterdir())
    seen = []
    for file in files:
        if file.is_file():
            status = file.stat()
            seen.append([file.name, status.st_size, status.st_mtime_ns])
    if not seen:
        raise FileNotFoundError(bag)
    return {"format": _FORMAT, "code": code_digest(), "files": seen, "settings": _as_json(settings)}


@cache
def code_digest() -> str:
    """Of the source of everything that turns a bag into episodes."""
    room = Path(__file__).parent
    digest = hashlib.sha256()
    for file in [*sorted(room.glob("*.py")), room.parent / "simulation" / "trajectory.py"]:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _as_json(value):
    return json.loads(json.dumps(value))


def _encode(result: BagResult, identity: dict) -> list[bytes | memoryview]:
    """The pieces of an entry's file."""
    episodes = result.episodes
    header = {
        "identity": identity,
        "digest": result.digest,
        "problems": [[p.topic, p.text, p.skipped] for p in result.problems],
        "lengths": [len(e) for e in episodes],
        "metadata": episodes[0].metadata if episodes else {},
        "arrays": {},
    }
    arrays, offset = [], 0
    for name, kind in _ARRAYS.items():
        parts = [np.ascontiguousarray(getattr(e, name), kind) for e in episodes]
        if parts:
            header["arrays"][name] = [offset, list(parts[0].shape[1:])]
            size = sum(p.nbytes for p in parts)
            padding = -size % _ALIGN
            arrays += [*(p.reshape(-1).view(np.uint8).data for p in parts), bytes(padding)]
            offset += size + padding
    text = json.dumps(header).encode()
    text += b" " * (-(_START.size + len(text)) % _ALIGN)
    crc = 0
    for piece in [text, *arrays]:
        crc = zlib.crc32(piece, crc)
    return [_START.pack(_MAGIC, crc, len(text)), text, *arrays]


def _decode(memory: bytearray | mmap.mmap, bag: Path, identity: dict) -> BagResult | None:
    """None where the entry is of something else; ValueError and others where it is damaged."""
    magic, crc, length = _START.unpack_from(memory)
    with memoryview(memory) as view:
        if magic != _MAGIC or zlib.crc32(view[_START.size :]) != crc:
            return None
    begin = _START.size + length
    header = json.loads(bytes(memory[_START.size : begin]))
    if header["identity"] != identity:
        return None
    lengths = header["lengths"]
    columns = {}
    for name, (offset, shape) in header["arrays"].items():
        count = sum(lengths) * int(np.prod(shape, dtype=int))
        flat = np.frombuffer(memory, _ARRAYS[name], count, begin + offset)
        if name != "images":  # a view would hold the pictures in memory as long as the few numbers beside them
            flat = flat.copy()
        columns[name] = np.split(flat.reshape(-1, *shape), np.cumsum(lengths)[:-1])
    rows: Sequence[tuple] = list(zip(*(columns[name] for name in _ARRAYS), strict=True)) if lengths else []
    return BagResult(
        bag,
        [Episode(*row, str(bag), header["metadata"]) for row in rows],
        [Problem(bag, *problem) for problem in header["problems"]],
        header["digest"],
    )
