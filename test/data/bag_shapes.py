"""Bags in the shapes that robots record them in, of a scene and a motion that are known.

Written with rosbags alone, so that nothing of this package's own writer is in them.
"""

import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import yaml
from backports import zstd
from rosbags.interfaces import (
    Nodetype,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.messages import own_types

Message = tuple[int, str, object]
SECOND = 10**9
START = 1_750_000_000 * SECOND
DT = SECOND // 10
JOINTS = ("pan", "lift", "wrist")
SPEC = ActionSpec(JOINTS, (-0.1,) * 3, (0.1,) * 3, (-2.0,) * 3, (2.0,) * 3, rate_hz=10.0, block=4)
DISTROS = {
    "humble": Stores.ROS2_HUMBLE,
    "iron": Stores.ROS2_IRON,
    "jazzy": Stores.ROS2_JAZZY,
    "kilted": Stores.ROS2_KILTED,
    "lyrical": Stores.ROS2_LYRICAL,
}
METADATA_VERSION = {"humble": 5, "iron": 7}  # of metadata.yaml; 9 from Jazzy on
_FOREVER = QosTime(9223372036, 854775807)
_CAMERA_QOS = Qos(
    QosHistory.KEEP_LAST,
    5,
    QosReliability.BEST_EFFORT,
    QosDurability.VOLATILE,
    _FOREVER,
    _FOREVER,
    QosLiveliness.AUTOMATIC,
    _FOREVER,
    False,
)


@dataclass(frozen=True)
class Shape:
    """What a bag looks like. Topics are those of a camera driver and a ros2_control arm.

    encoding: of raw images.  format: of compressed ones; "" for raw.  size: (h, w).  padding: bytes a row.
    joint_order, command_order: names in the messages, in their order, with joints of other parts among them.
    files: over how many the bag is split.  chunk: bytes that an MCAP chunk holds at least.
    jitter: s by which stamps and arrivals scatter.
    vendor: with a topic of a type that no distribution has.  tf: with the arm's frames.
    graph: with what this package's nodes say.  proprio: in its plans.  older: PlannerStatus of a version without a header.
    custom: metadata.yaml's custom_data.
    """

    storage: str = "mcap"
    compression: str = "none"
    distro: str = "jazzy"
    encoding: str = "rgb8"
    format: str = ""
    size: tuple[int, int] = (48, 64)
    padding: int = 0
    image_topic: str = "/camera/image_raw"
    joints_topic: str = "/joint_states"
    command_topic: str = "/arm_controller/joint_trajectory"
    joint_order: tuple[str, ...] = JOINTS
    command_order: tuple[str, ...] = JOINTS
    files: int = 1
    chunk: int = 2**20
    jitter: float = 0.0
    vendor: bool = False
    tf: bool = False
    graph: bool = False
    proprio: tuple[float, ...] = ()
    older: bool = False
    custom: Mapping[str, str] = field(default_factory=dict)


def targets(frames: int, seed: int = 0) -> np.ndarray:
    """(frames, 3) rad, what the joints of SPEC do: a bounded random walk from rest."""
    steps = np.random.default_rng(seed).uniform(-0.09, 0.09, (frames, len(JOINTS)))
    steps[0] = 0
    return np.cumsum(steps, axis=0)


def colours(frame: int) -> np.ndarray:
    """(4, 3) RGB of the quarters of the picture: top left, top right, bottom left, bottom right."""
    level = 4 * frame
    return np.array([[level, 60, 200], [200, level, 60], [60, 200, level], [level] * 3], np.uint8)


def picture(frame: int, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8 RGB."""
    quarters = colours(frame).reshape(2, 2, 3)
    return np.repeat(np.repeat(quarters, size[0] // 2, axis=0), size[1] // 2, axis=1)


def quarters(images: np.ndarray) -> np.ndarray:
    """(n, 4, 3) the colours in the middles of the quarters of (n, h, w, 3) images, as `colours` has them."""
    rows, columns = ((s // 4, 3 * s // 4) for s in images.shape[1:3])
    return np.stack([images[:, r, c] for r in rows for c in columns], axis=1)


def grey(rgb: np.ndarray) -> np.ndarray:
    """(..., 3) the luma of BT.601 in each channel."""
    return np.repeat((rgb @ np.array([0.299, 0.587, 0.114]))[..., None], 3, axis=-1)


def tip_position(joints: np.ndarray) -> np.ndarray:
    """(n, 3) m, where the frame tool0 is in base_link for (n, 3) joints."""
    pan, lift, _ = joints.T
    reach = 0.3 * np.cos(lift)
    return np.stack([reach * np.cos(pan), reach * np.sin(pan), 0.1 + 0.3 * np.sin(lift)], axis=1)


def write_bag(
    path: Path,
    shape: Shape | None = None,
    frames: int = 24,
    seed: int = 0,
    edit: Callable[[Message], Message | None] = lambda message: message,
) -> Path:
    """A bag of this shape: frames at 10 Hz, each followed by a command to the next frame's joints.

    edit: what is to be recorded in place of (log time, topic, message): None leaves it out; a message of None
    declares its topic only.
    """
    shape = shape or Shape()
    path.parent.mkdir(parents=True, exist_ok=True)
    messages, kinds = [], {}
    for original in _messages(shape, frames, seed):
        message = edit(original)
        if message is not None:
            logged, topic, content = message
            kinds[topic] = (original[2] if content is None else content).__msgtype__
            if content is not None:
                messages.append(message)
    messages.sort(key=lambda m: m[0])
    parts = np.array_split(np.arange(len(messages)), shape.files)
    written = [
        _write_part(
            path.parent / f".{path.name}" / f"{path.name}_{i}", [messages[k] for k in part], kinds, shape
        )
        for i, part in enumerate(parts)
    ]
    _merge(path, written, shape)
    return path


# Pixels to the bytes of each encoding


def encode(encoding: str, image: np.ndarray) -> tuple[np.ndarray, int]:
    """((h, bytes per row) uint8, is_bigendian) of an RGB image, made without the code under test."""
    h, w = image.shape[:2]
    wide = image.astype(np.uint16) * 257
    alpha = np.full((h, w, 1), 9, np.uint8)
    if encoding.startswith("bayer_"):
        channel = {"r": 0, "g": 1, "b": 2}
        mosaic = np.empty((h, w), np.uint8)
        for k, name in enumerate(encoding[6:10]):
            row, column = divmod(k, 2)
            mosaic[row::2, column::2] = image[row::2, column::2, channel[name]]
        return (mosaic if encoding.endswith("8") else (mosaic.astype("<u2") * 257).view(np.uint8)), 0
    if encoding in ("yuv422", "uyvy", "yuv422_yuy2", "yuyv"):
        r, g, b = np.moveaxis(image.astype(float), 2, 0)
        y = 16 + 0.25679 * r + 0.50413 * g + 0.09791 * b
        u = 128 - 0.14822 * r - 0.29099 * g + 0.43922 * b
        v = 128 + 0.43922 * r - 0.36779 * g - 0.07143 * b
        chroma = np.where(np.arange(w) % 2 == 0, u, v)
        pair = (chroma, y) if encoding in ("yuv422", "uyvy") else (y, chroma)
        return np.round(np.stack(pair, axis=2)).astype(np.uint8).reshape(h, 2 * w), 0
    made = {
        "rgb8": lambda: image,
        "bgr8": lambda: image[..., ::-1],
        "8UC3": lambda: image[..., ::-1],
        "rgba8": lambda: np.concatenate([image, alpha], axis=2),
        "bgra8": lambda: np.concatenate([image[..., ::-1], alpha], axis=2),
        "mono8": lambda: np.round(grey(image)[..., 0]).astype(np.uint8),
        "8UC1": lambda: np.round(grey(image)[..., 0]).astype(np.uint8),
        "mono16": lambda: np.round(grey(image)[..., 0] * 257).astype(">u2"),
        "16UC1": lambda: np.round(grey(image)[..., 0] * 257).astype("<u2"),
        "rgba16": lambda: np.concatenate([wide, wide[..., :1]], axis=2).astype("<u2"),
        "bgra16": lambda: np.concatenate([wide[..., ::-1], wide[..., :1]], axis=2).astype(">u2"),
        "rgb16": lambda: wide.astype("<u2"),
        "bgr16": lambda: wide[..., ::-1].astype(">u2"),
    }[encoding]()
    big = int(made.dtype.byteorder == ">")
    return np.ascontiguousarray(made).view(np.uint8).reshape(h, -1), big


def compress(format: str, image: np.ndarray) -> bytes:
    """The bytes that image_transport publishes under this format string."""
    source, _, codec = format.partition(";")
    extension = ".png" if "png" in format else ".jpg"
    pixels = image[..., ::-1]
    if source.startswith("bayer_") and extension == ".png":
        pixels = encode(source, image)[0]
    elif source in ("mono8", "mono16"):
        pixels = np.round(grey(image)[..., 0]).astype(np.uint8)
    if "16" in codec or (source == "mono16" and extension == ".png"):
        pixels = pixels.astype(np.uint16) * 257
    return cv2.imencode(extension, pixels, [cv2.IMWRITE_JPEG_QUALITY, 95] if extension == ".jpg" else [])[1]


# Messages


@cache
def _store(distro: str, older: bool = False):
    store = get_typestore(DISTROS[distro])
    store.register(get_types_from_msg("float32 force\nstring[] notes\n", "vendor_msgs/msg/Grip"))
    status = "jepa_ros/msg/PlannerStatus"
    store.register(own_types() | (get_types_from_msg("string words", status) if older else {}))
    return store


def vendor_message():
    """A message of a type that no distribution has."""
    return _store("jazzy").types["vendor_msgs/msg/Grip"](force=1.5, notes=["ok"])


def _messages(shape: Shape, frames: int, seed: int) -> Iterator[Message]:
    """(log time, topic, message) of everything in the bag."""
    types = _store(shape.distro, shape.older).types
    rng = np.random.default_rng(seed + 1)

    def scatter(most: float) -> int:
        return int(rng.uniform(0, most) * SECOND) if shape.jitter else 0

    def header(stamp: int, frame: str = ""):
        time = types["builtin_interfaces/msg/Time"](*map(int, divmod(stamp, SECOND)))
        return types["std_msgs/msg/Header"](stamp=time, frame_id=frame)

    nothing, track = np.zeros(0), targets(frames, seed)
    if shape.tf:
        yield (
            START - DT,
            "/tf_static",
            types["tf2_msgs/msg/TFMessage"](
                transforms=[
                    _transform(
                        types, header(START - DT, "base_link"), "turntable", (0, 0, 0.1), (0, 0, 0, 1)
                    ),
                    _transform(types, header(START - DT, "upper_arm"), "tool0", (0.3, 0, 0), (0, 0, 0, 1)),
                ]
            ),
        )
    for t in range(-1, frames):
        stamp = START + t * DT
        now = stamp + scatter(shape.jitter * 3)
        if t >= 0:
            seen = stamp + scatter(shape.jitter)
            yield now, shape.image_topic, _image(types, shape, header(seen, "camera"), t)
            felt = {**dict(zip(JOINTS, track[t], strict=True)), "gripper": 7.0, "rail": -3.0}
            yield (
                stamp + scatter(shape.jitter),
                shape.joints_topic,
                types["sensor_msgs/msg/JointState"](
                    header=header(stamp),
                    name=list(shape.joint_order),
                    position=np.array([felt[name] for name in shape.joint_order]),
                    velocity=nothing,
                    effort=nothing,
                ),
            )
            if shape.tf:
                yield now, "/tf", _arm_frames(types, header, stamp, track[t])
            if shape.graph:
                yield from _graph(shape, now, header(stamp), t)
            if shape.vendor:
                yield now, "/gripper/grip", types["vendor_msgs/msg/Grip"](force=1.5, notes=["ok"])
        if t + 1 < frames:
            asked = dict(zip(JOINTS, track[t + 1], strict=True))
            point = types["trajectory_msgs/msg/JointTrajectoryPoint"](
                positions=np.array([asked[name] for name in shape.command_order]),
                velocities=nothing,
                accelerations=nothing,
                effort=nothing,
                time_from_start=types["builtin_interfaces/msg/Duration"](sec=0, nanosec=DT),
            )
            yield (
                now + 1,
                shape.command_topic,
                types["trajectory_msgs/msg/JointTrajectory"](
                    header=header(stamp), joint_names=list(shape.command_order), points=[point]
                ),
            )


def _image(types, shape: Shape, header, frame: int):
    image = picture(frame, shape.size)
    if shape.format:
        data = np.frombuffer(compress(shape.format, image), np.uint8)
        return types["sensor_msgs/msg/CompressedImage"](header=header, format=shape.format, data=data)
    rows, bigendian = encode(shape.encoding, image)
    rows = np.pad(rows, ((0, 0), (0, shape.padding)), constant_values=255)
    return types["sensor_msgs/msg/Image"](
        header=header,
        height=shape.size[0],
        width=shape.size[1],
        encoding=shape.encoding,
        is_bigendian=bigendian,
        step=rows.shape[1],
        data=rows.reshape(-1),
    )


def _graph(shape: Shape, now: int, header, frame: int) -> Iterator[Message]:
    """What encoder, planner and action publisher say of one frame."""
    distro = shape.distro

    def tensor(*extents: int):
        data = np.zeros(extents, "<f4").reshape(-1).view(np.uint8)
        sizes = np.array(extents, np.uint32)
        return blank(distro, "Tensor", name="latent", dtype="float32", shape=sizes, data=data)

    embedding = blank(distro, "Embedding", header=header, encoder_id="sha256:ab", latent=tensor(1, 4))
    yield now, "/jepa/embedding", embedding
    if frame == 0:
        yield now, "/jepa/goal", blank(distro, "Goal", header=header, goal_id="1", embedding=embedding)
    plan = {"joint_names": list(JOINTS), "actions": tensor(8, 3), "predicted": embedding}
    plan["proprio"] = np.array(shape.proprio, np.float64)
    yield now, "/jepa/plan", blank(distro, "ActionPlan", header=header, plan_id=str(frame), **plan)
    status = blank(distro, "PlannerStatus", header=header)
    if shape.older:
        status = _store(distro, True).types["jepa_ros/msg/PlannerStatus"](words="planning")
    yield now, "/jepa/planner/status", status
    yield now, "/jepa/action_publisher/safety_status", blank(distro, "SafetyStatus", header=header)


def blank(distro: str, kind: str, /, **values):
    """A jepa_ros message whose other fields are zero or empty."""
    store = _store(distro)

    def empty(node, detail):
        if node == Nodetype.NAME:
            fields = store.fielddefs[detail][1]
            return store.types[detail](**{name: empty(*inner) for name, inner in fields})
        if node == Nodetype.BASE:
            return "" if detail[0] == "string" else 0
        of = detail[0][1][0]
        return [] if of == "string" else np.zeros(0, of)

    return replace(empty(Nodetype.NAME, f"jepa_ros/msg/{kind}"), **values)


def _transform(types, header, child: str, shift, turn):
    return types["geometry_msgs/msg/TransformStamped"](
        header=header,
        child_frame_id=child,
        transform=types["geometry_msgs/msg/Transform"](
            translation=types["geometry_msgs/msg/Vector3"](*map(float, shift)),
            rotation=types["geometry_msgs/msg/Quaternion"](*map(float, turn)),
        ),
    )


def _arm_frames(types, header, stamp: int, joints: np.ndarray):
    pan, lift, _ = joints / 2
    return types["tf2_msgs/msg/TFMessage"](
        transforms=[
            _transform(
                types, header(stamp, "turntable"), "shoulder", (0, 0, 0), (0, 0, np.sin(pan), np.cos(pan))
            ),
            _transform(
                types, header(stamp, "shoulder"), "upper_arm", (0, 0, 0), (0, -np.sin(lift), 0, np.cos(lift))
            ),
        ]
    )


# Files


def _write_part(path: Path, messages: list[Message], kinds: Mapping[str, str], shape: Shape) -> Path:
    """One file of a bag, as a bag of its own. kinds: topic to type."""
    store = _store(shape.distro, shape.older)
    path.parent.mkdir(exist_ok=True)
    writer = Writer(
        path,
        version=9 if shape.distro not in METADATA_VERSION else 8,
        storage_plugin=StoragePlugin.MCAP if shape.storage == "mcap" else StoragePlugin.SQLITE3,
    )
    if shape.compression in ("message", "storage"):
        writer.set_compression(CompressionMode[shape.compression.upper()], CompressionFormat.ZSTD)
    for key, value in shape.custom.items():
        writer.set_custom_data(key, value)
    with writer:
        connections = {
            topic: writer.add_connection(
                topic,
                kind,
                typestore=store,
                offered_qos_profiles=[_CAMERA_QOS] if topic == shape.image_topic else [],
            )
            for topic, kind in kinds.items()
        }
        for logged, topic, message in messages:
            writer.write(connections[topic], logged, store.serialize_cdr(message, kinds[topic]))
            if shape.storage == "mcap" and writer.storage.chunk.bio.tell() > shape.chunk:
                writer.storage.close_chunk()
    for file in path.glob("*.mcap"):
        _add_checksums(file)
    return path


def mcap_records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(opcode, where its content begins, where it ends) of every record of a healthy MCAP file."""
    at = 8
    while at + 9 <= len(data):
        opcode, length = struct.unpack_from("<BQ", data, at)
        yield opcode, at + 9, at + 9 + length
        at += 9 + length


def _add_checksums(file: Path) -> None:
    """The checksums of chunks that rosbag2 writes and rosbags leaves out."""
    data = bytearray(file.read_bytes())
    for opcode, begin, end in list(mcap_records(data)):
        if opcode == 0x06:
            name_length = struct.unpack_from("<I", data, begin + 28)[0]
            body = bytes(data[begin + 40 + name_length : end])
            plain = zstd.decompress(body) if name_length else body
            struct.pack_into("<I", data, begin + 24, zlib.crc32(plain))
    file.write_bytes(data)


def _merge(path: Path, parts: list[Path], shape: Shape) -> None:
    """One bag of the parts' files, with the metadata.yaml that the distribution writes."""
    path.mkdir()
    infos = []
    for part in parts:
        info = yaml.safe_load((part / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
        (name,) = info["relative_file_paths"]
        if shape.distro == "humble" and shape.storage == "sqlite3":
            _as_humble(part / name)
        content = (part / name).read_bytes()
        if shape.compression == "file":
            name, content = f"{name}.zstd", zstd.compress(content)
            info["relative_file_paths"] = info["files"][0]["path"] = name
        (path / name).write_bytes(content)
        (part / name.removesuffix(".zstd")).unlink()
        (part / "metadata.yaml").unlink()
        part.rmdir()
        infos.append(info)
    parts[0].parent.rmdir()
    whole = dict(infos[0])
    whole["relative_file_paths"] = [f["path"] for info in infos for f in info["files"]]
    whole["files"] = [f for info in infos for f in info["files"]]
    whole["message_count"] = sum(info["message_count"] for info in infos)
    first = min(info["starting_time"]["nanoseconds_since_epoch"] for info in infos)
    last = max(
        info["starting_time"]["nanoseconds_since_epoch"] + info["duration"]["nanoseconds"] for info in infos
    )
    whole["starting_time"], whole["duration"] = (
        {"nanoseconds_since_epoch": first},
        {"nanoseconds": last - first},
    )
    topics: dict[str, dict] = {}
    for info in infos:
        for topic in info["topics_with_message_count"]:
            name = topic["topic_metadata"]["name"]
            before = topics.get(name, {"message_count": 0})["message_count"]
            topics[name] = {**topic, "message_count": before + topic["message_count"]}
    whole["topics_with_message_count"] = list(topics.values())
    whole["version"] = METADATA_VERSION.get(shape.distro, 9)
    whole["ros_distro"] = shape.distro
    if shape.compression == "file":
        whole["compression_format"], whole["compression_mode"] = "zstd", "FILE"
    elif shape.compression == "message":
        whole["compression_mode"] = "MESSAGE"
    if whole["version"] < 6:
        del whole["custom_data"], whole["ros_distro"]
        for topic in whole["topics_with_message_count"]:
            del topic["topic_metadata"]["type_description_hash"]
    (path / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": whole}))


def _as_humble(file: Path) -> None:
    """A database as Humble leaves it: schema 3, without the definitions of its types."""
    with closing(sqlite3.connect(file)) as database:
        database.executescript(
            """
            DROP TABLE message_definitions;
            ALTER TABLE topics DROP COLUMN type_description_hash;
            UPDATE schema SET schema_version = 3, ros_distro = 'humble';
            """
        )
        database.commit()
