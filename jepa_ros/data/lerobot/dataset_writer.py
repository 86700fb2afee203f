"""Writes a LeRobot v3 dataset, episode by episode."""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from jepa_ros.data.images import encode_compressed
from jepa_ros.data.lerobot import layout
from jepa_ros.data.lerobot.statistics import (
    Statistics,
    column_statistics,
    combine,
    image_samples,
    image_statistics,
)
from jepa_ros.data.lerobot.video import CODEC, PIXELS, VideoWriter
from jepa_ros.errors import JepaError

IMAGES_AT_ONCE = 32
"""So many PNGs are in memory before they are written."""


@dataclass
class _Place:
    """The file that is being filled: a chunk's n-th."""

    chunk_index: int = 0
    file_index: int = 0

    def step(self) -> None:
        self.file_index += 1
        if self.file_index == layout.FILES_PER_CHUNK:
            self.chunk_index, self.file_index = self.chunk_index + 1, 0


@dataclass
class DatasetWriter:
    """A dataset in the making; a context manager.

    It grows in a hidden folder beside `out` and moves there in close(): a dataset at `out` is always whole.

    fps: frames per second.  features: column -> names of its components, which are float32 but for TARGET.
    size: (h, w) of images.  video: else PNG images in the table.
    own: what info.json keeps under our key.
    """

    out: Path
    fps: float
    features: Mapping[str, list[str]]
    size: tuple[int, int]
    video: bool = True
    robot_type: str | None = None
    own: dict = field(default_factory=dict)

    def __post_init__(self):
        layout.require_libraries()
        if self.out.exists():
            raise JepaError(f"{self.out} exists already; choose another folder or remove it")
        self._folder = self.out.parent / f".{self.out.name}.partial"
        shutil.rmtree(self._folder, ignore_errors=True)
        try:
            (self._folder / "meta").mkdir(parents=True)
        except OSError as error:
            raise JepaError(f"{self.out}: cannot be written there ({error.strerror})") from error
        self._data_place, self._video_place = _Place(), _Place()
        self._data = self._video = None
        self._tasks: dict[str, int] = {}
        self._rows: list[dict] = []
        self._statistics: list[dict[str, Statistics]] = []
        self._frames = 0

    def add_episode(
        self,
        images: Iterable[np.ndarray],
        columns: Mapping[str, np.ndarray],
        task: str,
        own: Mapping[str, object],
    ) -> None:
        """Append L frames.

        images: L of (h, w, 3) uint8 RGB.  columns: (L, n) for every feature.  own: values for our columns in
        the table of episodes.
        """
        length, index = len(columns[layout.STATE]), len(self._rows)
        frame_index = np.arange(length)
        task_index = self._tasks.setdefault(task, len(self._tasks))
        values = {
            "timestamp": (frame_index / self.fps).astype(np.float32),
            "frame_index": frame_index,
            "episode_index": np.full(length, index),
            "index": self._frames + frame_index,
            "task_index": np.full(length, task_index),
        }
        values |= {name: np.asarray(columns[name], _dtype(name)) for name in self.features}
        statistics = {name: column_statistics(v) for name, v in values.items()}
        row = {
            "episode_index": index,
            "tasks": [task],
            "length": length,
            "dataset_from_index": self._frames,
            "dataset_to_index": self._frames + length,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
            **{f"{layout.OWN}/{name}": value for name, value in own.items()},
        }
        row |= self._start_data() | (self._start_video(length) if self.video else {})
        samples, chosen, count, pngs = [], image_samples(length), 0, []
        for count, image in enumerate(images, 1):
            if count - 1 in chosen:
                samples.append(image)
            if self.video:
                self._video.add(image)
                continue
            pngs.append(encode_compressed(image, "png"))
            if len(pngs) == IMAGES_AT_ONCE:
                self._write_images(values, count, pngs)
                pngs = []
        if count != length:
            raise JepaError(f"{self.out}: {count} images for {length} frames of episode {index}")
        if pngs:
            self._write_images(values, count, pngs)
        if self.video:
            self._write_data(values)
        statistics[layout.CAMERA] = image_statistics(samples)
        row |= {f"stats/{name}/{key}": v for name, s in statistics.items() for key, v in s.items()}
        self._rows.append(row)
        self._statistics.append(statistics)
        self._frames += length

    def close(self) -> None:
        """Finish the files and move the dataset to its place."""
        if not self._rows:
            self.abort()
            raise JepaError(f"{self.out}: no episode to write")
        self._close_files()
        self._write_tasks()
        self._write_episodes()
        statistics = {name: combine([s[name] for s in self._statistics]) for name in self._statistics[0]}
        _write_json(
            self._folder / layout.STATS,
            {name: {key: v.tolist() for key, v in found.items()} for name, found in statistics.items()},
        )
        _write_json(self._folder / layout.INFO, self._info())
        self._folder.rename(self.out)

    def abort(self) -> None:
        """Drop everything written."""
        try:
            self._close_files()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.close() if kind is None else self.abort()

    def _close_files(self) -> None:
        files, self._data, self._video = [self._data, self._video], None, None
        for file in files:
            if file is not None:
                file.close()

    def _start_video(self, length: int) -> dict:
        """The episode's place in the videos."""
        if self._video is not None and self._video.bytes >= layout.VIDEO_MB * 2**20:
            self._video.close()
            self._video = None
            self._video_place.step()
        place, start = vars(self._video_place), f"videos/{layout.CAMERA}"
        if self._video is None:
            path = self._folder / layout.VIDEO.format(video_key=layout.CAMERA, **place)
            self._video = VideoWriter(path, self.fps, self.size)
        begin = self._video.seconds
        return {
            **{f"{start}/{key}": value for key, value in place.items()},
            f"{start}/from_timestamp": begin,
            f"{start}/to_timestamp": begin + length / self.fps,
        }

    def _start_data(self) -> dict:
        """The episode's place in the tables of frames."""
        if self._data is not None:
            path = self._folder / layout.DATA.format(**vars(self._data_place))
            if path.stat().st_size >= layout.DATA_MB * 2**20:
                self._data.close()
                self._data = None
                self._data_place.step()
        return {f"data/{key}": value for key, value in vars(self._data_place).items()}

    def _write_images(self, values: Mapping[str, np.ndarray], stop: int, pngs: list[bytes]) -> None:
        """The rows up to `stop` that have these images."""
        import pyarrow as pa

        begin = stop - len(pngs)
        names = pa.array([f"frame-{i:06d}.png" for i in range(begin, stop)])
        images = pa.StructArray.from_arrays([pa.array(pngs, pa.binary()), names], ["bytes", "path"])
        self._write_data({name: v[begin:stop] for name, v in values.items()}, {layout.CAMERA: images})

    def _write_data(self, values: Mapping[str, np.ndarray], more: Mapping = MappingProxyType({})) -> None:
        """Append rows, with columns of Arrow beside those of NumPy."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        arrays = {}
        for name, column in values.items():
            flat = pa.array(column.reshape(-1))
            width = column.shape[1] if column.ndim == 2 else 1
            arrays[name] = flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
        table = pa.table({**arrays, **more})
        if self._data is None:
            path = self._folder / layout.DATA.format(**vars(self._data_place))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._data = pq.ParquetWriter(path, table.schema, compression="snappy", use_dictionary=False)
        self._data.write_table(table)

    def _write_tasks(self) -> None:
        """A table that pandas reads with the task as index, as LeRobot asks of it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table(
            {"task_index": pa.array(self._tasks.values(), pa.int64()), "task": pa.array(list(self._tasks))}
        )
        columns = [
            {"name": name, "field_name": name, "pandas_type": p, "numpy_type": n, "metadata": None}
            for name, p, n in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
        ]
        pandas = {
            "index_columns": ["task"],
            "column_indexes": [],
            "columns": columns,
            "pandas_version": "2.0.0",
        }
        pq.write_table(
            table.replace_schema_metadata({"pandas": json.dumps(pandas)}), self._folder / layout.TASKS
        )

    def _write_episodes(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._folder / layout.EPISODES.format(chunk_index=0, file_index=0)
        path.parent.mkdir(parents=True)
        columns = {
            name: [v.tolist() if isinstance(v := row[name], np.ndarray) else v for row in self._rows]
            for name in self._rows[0]
        }
        pq.write_table(pa.table(columns), path, compression="snappy")

    def _info(self) -> dict:
        height, width = self.size
        fps = int(self.fps) if float(self.fps).is_integer() else self.fps
        features = {
            name: {"dtype": _dtype(name), "shape": [len(parts)], "names": list(parts)}
            for name, parts in self.features.items()
        }
        features[layout.CAMERA] = {
            "dtype": "video" if self.video else "image",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
        }
        if self.video:
            features[layout.CAMERA]["info"] = {
                "video.height": height,
                "video.width": width,
                "video.codec": CODEC,
                "video.pix_fmt": PIXELS,
                "video.is_depth_map": False,
                "video.fps": fps,
                "video.channels": 3,
                "has_audio": False,
            }
        features |= {
            name: {"dtype": dtype, "shape": [1], "names": None}
            for name, dtype in layout.FRAME_COLUMNS.items()
        }
        return {
            "codebase_version": layout.VERSION,
            "robot_type": self.robot_type,
            "total_episodes": len(self._rows),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": layout.FILES_PER_CHUNK,
            "data_files_size_in_mb": layout.DATA_MB,
            "video_files_size_in_mb": layout.VIDEO_MB,
            "fps": fps,
            "splits": {"train": f"0:{len(self._rows)}"},
            "data_path": layout.DATA,
            "video_path": layout.VIDEO if self.video else None,
            "features": features,
            layout.OWN: self.own,
        }


def _dtype(feature: str) -> str:
    return "float64" if feature == layout.TARGET else "float32"


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
