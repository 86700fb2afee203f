"""Reads bags with random damage, in a process whose memory and time per bag are bounded.

    python test/data/bag_fuzzer.py FOLDER FIRST COUNT      reads the damaged bags FIRST .. FIRST + COUNT - 1
    python test/data/bag_fuzzer.py FOLDER 4711 1 --keep    leaves the damaged bag 4711 in FOLDER

Damage is the same for the same number. The last line of output is JSON: what came of the bags, what failed.
"""

import argparse
import faulthandler
import json
import resource
import shutil
import sqlite3
import struct
import sys
import traceback
import warnings
import zlib
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from backports import zstd  # noqa: E402
from bag_shapes import SPEC, Shape, mcap_records, write_bag  # noqa: E402

from jepa_ros.data.bag_check import check  # noqa: E402
from jepa_ros.data.bag_reader import read_episodes  # noqa: E402
from jepa_ros.data.recording_reader import read_recording  # noqa: E402
from jepa_ros.data.topics import Topics  # noqa: E402
from jepa_ros.errors import JepaError  # noqa: E402
from jepa_ros.evaluation.bench.resident import peak_mib  # noqa: E402

SECONDS_A_BAG = 20
MEMORY = 3 << 30  # bytes of address space beyond what Python and its libraries take
RESIDENT = 400 << 20  # bytes of memory beyond that which may really be used
FRAMES = 8
SIZE = (8, 8)
TOPICS = Topics(base_frame="base_link", tip_frame="tool0")
SHAPES = [
    Shape(size=SIZE, chunk=1500),
    Shape(size=SIZE, chunk=1500, compression="storage", vendor=True),
    Shape(size=SIZE, compression="message", format="jpeg", image_topic="/cam/image/compressed"),
    Shape(size=SIZE, compression="file", encoding="yuyv"),
    Shape(size=SIZE, files=2, tf=True, chunk=1000),
    Shape(
        size=SIZE, graph=True, chunk=4000, custom={"jepa_ros": json.dumps({"action_spec": SPEC.to_dict()})}
    ),
    Shape(size=SIZE, storage="sqlite3", encoding="mono16"),
    Shape(size=SIZE, storage="sqlite3", distro="humble", files=2, tf=True),
    Shape(
        size=SIZE, storage="sqlite3", compression="message", format="png", image_topic="/cam/image/compressed"
    ),
]
EXTREMES = [
    0,
    1,
    2,
    7,
    8,
    127,
    255,
    256,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
]
WORDS = [
    "",
    "null",
    "[]",
    "{}",
    "~",
    "-1",
    "1e400",
    "'",
    '"',
    "\t",
    "&a *a",
    "!!python/none",
    "9" * 40,
    "mcap",
]


# Damage: each takes and returns bytes


def flip(rng, data: bytearray) -> bytearray:
    for at in rng.integers(0, len(data), rng.integers(1, 8)):
        data[at] ^= 1 << int(rng.integers(8))
    return data


def overwrite(rng, data: bytearray) -> bytearray:
    begin, end = span(rng, data)
    data[begin:end] = rng.bytes(end - begin) if rng.integers(2) else bytes(end - begin)
    return data


def truncate(rng, data: bytearray) -> bytearray:
    return data[: int(rng.integers(len(data)))]


def insert(rng, data: bytearray) -> bytearray:
    at = int(rng.integers(len(data)))
    data[at:at] = rng.bytes(int(rng.integers(1, 40)))
    return data


def delete(rng, data: bytearray) -> bytearray:
    begin, end = span(rng, data)
    del data[begin:end]
    return data


def repeat(rng, data: bytearray) -> bytearray:
    begin, end = span(rng, data)
    data[begin:begin] = data[begin:end]
    return data


def put_extreme(rng, data: bytearray) -> bytearray:
    """An extreme number over any 1, 2, 4 or 8 bytes: lengths, counts, offsets, stamps."""
    width = int(rng.choice([1, 2, 4, 8]))
    at = int(rng.integers(max(1, len(data) - width)))
    value = int(rng.choice(len(EXTREMES)))
    order = "little" if rng.integers(3) else "big"
    data[at : at + width] = (EXTREMES[value] % (1 << 8 * width)).to_bytes(width, order)
    return data


def span(rng, data: bytearray) -> tuple[int, int]:
    begin = int(rng.integers(len(data)))
    return begin, begin + int(rng.integers(1, 1 + min(len(data) - begin, 300)))


ANY = (flip, overwrite, truncate, insert, delete, repeat, put_extreme)


def record_length(rng, data: bytearray) -> bytearray:
    """Another length for one of an MCAP's records."""
    records = list(mcap_records(bytes(data)))
    _, begin, end = records[rng.integers(len(records))]
    change = [end - begin + int(rng.integers(-20, 20)), EXTREMES[rng.integers(len(EXTREMES))]][
        rng.integers(2)
    ]
    data[begin - 8 : begin] = struct.pack("<Q", change % 2**64)
    return data


def swap_records(rng, data: bytearray) -> bytearray:
    records = list(mcap_records(bytes(data)))
    a, b = sorted(rng.choice(len(records), 2, replace=False))
    (_, a0, a1), (_, b0, b1) = records[a], records[b]
    return data[: a0 - 9] + data[b0 - 9 : b1] + data[a1 : b0 - 9] + data[a0 - 9 : a1] + data[b1:]


def within_chunk(rng, data: bytearray) -> bytearray:
    """Damage inside a chunk that is packed again with the right checksum: it reaches the messages."""
    chunks = [(begin, end) for opcode, begin, end in mcap_records(bytes(data)) if opcode == 0x06]
    if not chunks:
        return flip(rng, data)
    begin, end = chunks[rng.integers(len(chunks))]
    name = struct.unpack_from("<I", data, begin + 28)[0]
    body = bytes(data[begin + 40 + name : end])
    plain = bytearray(zstd.decompress(body) if name else body)
    plain = bytes(ANY[rng.choice([0, 0, 1, 5, 6, 6])](rng, plain))
    packed = zstd.compress(plain) if name else plain
    chunk = data[begin : begin + 40 + name] + packed
    struct.pack_into("<QI", chunk, 16, len(plain), zlib.crc32(plain) if rng.integers(2) else 0)
    struct.pack_into("<Q", chunk, 32 + name, len(packed))
    return data[: begin - 8] + struct.pack("<Q", len(chunk)) + chunk + data[end:]


def damage_mcap(rng, data: bytearray) -> bytearray:
    own = (record_length, swap_records, within_chunk, within_chunk, within_chunk)
    return (ANY + own)[rng.integers(len(ANY) + len(own))](rng, data)


def damage_page(rng, data: bytearray) -> bytearray:
    """A sqlite3 page's head, or the file's."""
    page = int(rng.integers(max(1, len(data) // 4096)))
    at = page * 4096 + int(rng.integers(100 if page == 0 else 40))
    if at < len(data):
        data[at] = int(rng.integers(256))
    return data


def damage_rows(rng, file: Path) -> None:
    """Values that no bag has in rows of a healthy database."""
    odd = [None, "text", b"", b"\x00\x01", -1, 0, 2**62, 2**63 - 1, -(2**63), 1.5, rng.bytes(40)]
    columns = [("messages", c) for c in ("topic_id", "timestamp", "data", "data", "data")]
    columns += [("topics", c) for c in ("name", "type", "serialization_format", "offered_qos_profiles", "id")]
    columns += [("schema", "schema_version")]
    with closing(sqlite3.connect(file)) as database:
        for _ in range(rng.integers(1, 4)):
            table, column = columns[rng.integers(len(columns))]
            rows = [row for (row,) in database.execute(f"SELECT rowid FROM {table}")]
            row, value = rows[rng.integers(len(rows))], odd[rng.integers(len(odd))]
            if column == "data" and rng.integers(3):
                (value,) = database.execute("SELECT data FROM messages WHERE id = ?", (row,)).fetchone()
                value = bytes(ANY[rng.integers(len(ANY))](rng, bytearray(value) or bytearray(b"0")))
            try:
                database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))
            except sqlite3.Error:  # a column that must not be NULL, an id that must be a number
                continue
        database.commit()


def damage_yaml(rng, data: bytearray) -> bytearray:
    if rng.integers(3) == 0:
        return ANY[rng.integers(len(ANY))](rng, data)
    lines = data.decode(errors="replace").split("\n")
    at = int(rng.integers(len(lines)))
    word = WORDS[rng.integers(len(WORDS))]
    head = lines[at].partition(":")[0]
    if rng.integers(2):
        del lines[at]
    else:
        lines[at] = [f"{head}: {word}", word, lines[rng.integers(len(lines))]][rng.integers(3)]
    return bytearray("\n".join(lines).encode())


def damage(rng, bag: Path) -> None:
    """Damage one file of a bag, now and then two, one to three times each."""
    files = sorted(bag.iterdir())
    storages = [f for f in files if f.name != "metadata.yaml"]
    for _ in range(1 + int(rng.integers(4) == 0)):
        file = storages[rng.integers(len(storages))] if rng.integers(5) else bag / "metadata.yaml"
        if file.suffix == ".db3" and rng.integers(2):
            try:
                damage_rows(rng, file)
            except (sqlite3.Error, OSError, TypeError, ValueError):  # by damage done before
                pass
            continue
        data = bytearray(file.read_bytes())
        for _ in range(rng.integers(1, 4)):
            if not data:
                break
            kind = {".mcap": damage_mcap, ".yaml": damage_yaml}.get(
                file.suffix, lambda r, d: ANY[r.integers(7)](r, d)
            )
            if file.suffix == ".db3" and rng.integers(2):
                kind = damage_page
            try:
                data = kind(rng, data)
            except (
                struct.error,
                zstd.ZstdError,
                IndexError,
                ValueError,
            ):  # what it works on is damaged already
                data = flip(rng, data)
        file.write_bytes(data)
        if rng.integers(40) == 0:
            file.unlink()
            file.write_bytes(b"")


# Reading


def read(bag: Path) -> str:
    """What came of a bag; raises what a reader must not raise."""
    outcome = "refused"
    try:
        episodes, report = read_episodes(bag, SPEC, SIZE, topics=TOPICS, workers=1, min_frames=3)
        str(report)
        outcome = "whole" if [len(e) for e in episodes] == [FRAMES] else "in part"
        for episode in episodes:
            length = len(episode.stamps)
            assert episode.images.shape == (length, *SIZE, 3) and episode.images.dtype == np.uint8
            for values in (episode.joint_positions, episode.actions):
                assert values.shape == (length, SPEC.dim) and np.isfinite(values).all()
            assert np.all(np.diff(episode.stamps) > 0)
    except JepaError as error:
        assert str(error).strip()
    try:
        recording = read_recording(bag, TOPICS, SPEC, ("gaps", "goals", "markers"))
        for run in recording.frames():
            list(recording.images(run.image_index, None))
            try:
                recording.end_effector(run)
            except JepaError as error:
                assert str(error).strip()
        json.dumps(check(recording))
    except JepaError as error:
        assert str(error).strip()
    return outcome


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("first", type=int)
    arguments.add_argument("count", type=int)
    arguments.add_argument("--keep", action="store_true")
    args = arguments.parse_args()
    healthy = args.folder / "healthy"
    bags = [write_bag(healthy / f"bag_{i}", shape, FRAMES) for i, shape in enumerate(SHAPES)]
    for bag in bags:
        assert read(bag) == "whole", f"{bag} is not read whole before it is damaged"
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    before = peak_mib()  # of this program: getrusage would count what the one that started it had
    warnings.simplefilter("error", RuntimeWarning)  # NumPy's: numbers that overflowed
    outcomes, failures = Counter(), []
    for number in range(args.first, args.first + args.count):
        (args.folder / "current").write_text(str(number))
        rng = np.random.default_rng(number)
        bag = args.folder / "bag"
        shutil.rmtree(bag, ignore_errors=True)
        shutil.copytree(bags[rng.integers(len(bags))], bag)
        damage(rng, bag)
        faulthandler.dump_traceback_later(SECONDS_A_BAG, exit=True)
        try:
            outcomes[read(bag)] += 1
        except Exception:
            failures.append(f"bag {number}: {traceback.format_exc()}")
        faulthandler.cancel_dump_traceback_later()
    used = int(2**20 * (peak_mib() - before))
    if used > RESIDENT:
        failures.append(f"{used >> 20} MB of memory were used")
    if not args.keep:
        shutil.rmtree(args.folder / "bag", ignore_errors=True)
    print(json.dumps({"outcomes": outcomes, "failures": failures, "megabytes": used >> 20}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
