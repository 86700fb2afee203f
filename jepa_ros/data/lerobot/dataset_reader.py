"""Reads a LeRobot v3 dataset from a local folder, whoever wrote it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jepa_ros.data.images import decode_compressed
from jepa_ros.data.lerobot import layout
from jepa_ros.data.lerobot.video import read_video
from jepa_ros.errors import JepaError


@dataclass(frozen=True)
class LeRobotEpisode:
    """L frames. columns: name -> (L, n) or (L,).  row: what the table of episodes says of it."""

    index: int
    tasks: tuple[str, ...]
    columns: dict[str, np.ndarray]
    row: dict

    def __len__(self) -> int:
        return len(self.columns["frame_index"])


class DatasetReader:
    """A dataset in a local folder. JepaError says what is not as it must be.

    info: of meta/info.json.  fps: frames per second.  cameras: feature names of images and videos.
    """

    def __init__(self, root: str | Path):
        layout.require_libraries()
        self.root = Path(root)
        self.info = self._read_info()
        self.fps = float(self.info["fps"])
        self.features: dict[str, dict] = self.info["features"]
        self.cameras = [name for name, f in self.features.items() if f.get("dtype") in ("image", "video")]
        self._rows = self._read_rows()

    def __len__(self) -> int:
        return len(self._rows)

    def camera(self, name: str | None) -> str:
        """The camera to use: the named one, or the only one. A name may leave out "observation.images."."""
        known = ", ".join(self.cameras) or "none"
        if name is None:
            if len(self.cameras) != 1:
                raise JepaError(f"{self.root}: it has the cameras {known}; choose one with --camera")
            return self.cameras[0]
        for candidate in (name, f"observation.images.{name}"):
            if candidate in self.cameras:
                return candidate
        raise JepaError(f"{self.root}: it has no camera {name!r}; cameras: {known}")

    def names(self, feature: str) -> list[str]:
        """Names of a vector's components: as the dataset has them, numbers where it has none."""
        if feature not in self.features:
            raise JepaError(
                f"{self.root}: it has no {feature}; features: {', '.join(self.features)}. Joint "
                "positions and joint targets are needed"
            )
        names = self.features[feature].get("names")
        while isinstance(names, dict) and names:  # {"motors": [...]}
            names = next(iter(names.values()))
        width = int(np.prod(self.features[feature]["shape"]))
        if not isinstance(names, list) or len(names) != width:
            return [str(i) for i in range(width)]
        return [str(name) for name in names]

    def episodes(self, columns: Sequence[str]) -> Iterator[LeRobotEpisode]:
        """Every episode, in order, with the named columns and those of the frame."""
        wanted = [*dict.fromkeys([*columns, *layout.FRAME_COLUMNS])]
        for path, rows in self._by_data_file():
            table = self._table(path, wanted)
            member = table.column("episode_index").to_numpy()
            for row in rows:
                part = table.filter(member == row["episode_index"]).sort_by("frame_index")
                if not part.num_rows:
                    raise JepaError(
                        f"{path}: no frames of episode {row['episode_index']}; get the file again"
                    )
                yield LeRobotEpisode(
                    row["episode_index"],
                    tuple(row.get("tasks") or ()),
                    {name: _dense(part.column(name)) for name in wanted},
                    row,
                )

    def images(self, episode: LeRobotEpisode, camera: str) -> Iterator[np.ndarray]:
        """The camera's (h, w, 3) uint8 RGB images, one per frame."""
        if self.features[camera]["dtype"] == "image":
            yield from self._table_images(episode, camera)
            return
        begin = episode.row[f"videos/{camera}/from_timestamp"]
        times = begin + episode.columns["timestamp"].astype(np.float64)
        yield from read_video(self._video(episode.row, camera), times.tolist(), 0.5 / self.fps)

    def require_videos(self, camera: str) -> None:
        """Raise JepaError where a video file of the camera is not there."""
        if self.features[camera]["dtype"] != "video":
            return
        missing = sorted({f for row in self._rows if not (f := self._video(row, camera)).is_file()})
        if missing:
            raise JepaError(
                f"{missing[0]}: missing ({len(missing)} videos of {camera} are); get the dataset "
                "with its videos, or choose another --camera"
            )

    def _table_images(self, episode: LeRobotEpisode, camera: str) -> Iterator[np.ndarray]:
        path, expected = self._data(episode.row), iter(episode.columns["frame_index"].tolist())
        for value, frame in self._values(path, camera, episode.index):
            content = (value or {}).get("bytes")
            if content is None and (value or {}).get("path"):
                file = self.root / value["path"]
                content = file.read_bytes() if file.is_file() else None
            if content is None or frame != next(expected, None):
                raise JepaError(
                    f"{path}: image {frame} of episode {episode.index} is missing or out of order; get "
                    "the file again"
                )
            yield decode_compressed("png", content)  # PNG or JPEG: the decoder looks

    def _values(self, path: Path, column: str, episode: int) -> Iterator[tuple[dict, int]]:
        """(value, frame_index) of an episode's rows as they are in the file, a few in memory."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(path) as file:
                groups = [g for g in range(file.num_row_groups) if _may_hold(file, g, episode)]
                columns = [column, "episode_index", "frame_index"]
                for batch in file.iter_batches(batch_size=32, row_groups=groups, columns=columns):
                    rows = pa.Table.from_batches([batch])
                    rows = rows.filter(rows.column("episode_index").to_numpy() == episode)
                    yield from zip(
                        rows.column(column).to_pylist(), rows.column("frame_index").to_pylist(), strict=True
                    )
        except (pa.ArrowException, OSError) as error:
            raise JepaError(f"{path}: cannot be read as parquet ({error}); get the file again") from error

    def _by_data_file(self) -> Iterator[tuple[Path, list[dict]]]:
        path, rows = None, []
        for row in self._rows:
            if self._data(row) != path:
                if rows:
                    yield path, rows
                path, rows = self._data(row), []
            rows.append(row)
        if rows:
            yield path, rows

    def _data(self, row: dict) -> Path:
        template = self.info.get("data_path") or layout.DATA
        return self.root / template.format(
            chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
        )

    def _video(self, row: dict, camera: str) -> Path:
        template = self.info.get("video_path") or layout.VIDEO
        return self.root / template.format(
            video_key=camera,
            chunk_index=row[f"videos/{camera}/chunk_index"],
            file_index=row[f"videos/{camera}/file_index"],
        )

    def _table(self, path: Path, columns: list[str] | None = None):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_table(path, columns=columns)
        except FileNotFoundError as error:
            raise JepaError(f"{path}: missing; get the whole dataset") from error
        except (pa.ArrowException, OSError) as error:
            raise JepaError(f"{path}: cannot be read as parquet ({error}); get the file again") from error

    def _read_info(self) -> dict:
        path = self.root / layout.INFO
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise JepaError(f"{self.root}: not a LeRobot dataset, {layout.INFO} is missing") from error
        except (OSError, ValueError) as error:
            raise JepaError(f"{path}: cannot be read as JSON ({error}); get the file again") from error
        version = str(info.get("codebase_version", "none")) if isinstance(info, dict) else "none"
        if not version.startswith("v3."):
            raise JepaError(
                f"{path}: codebase_version is {version}; LeRobot v3 is needed. Datasets of v2.1 become v3 by "
                "LeRobot's own script: python -m lerobot.datasets.v30.convert_dataset_v21_to_v30"
            )
        fps, features = info.get("fps"), info.get("features")
        if not isinstance(fps, (int, float)) or not fps > 0 or not isinstance(features, dict):
            raise JepaError(f"{path}: fps {fps!r} and features are not as LeRobot writes them")
        return info

    def _read_rows(self) -> list[dict]:
        """The table of episodes, without statistics, by episode_index."""
        files = sorted((self.root / "meta" / "episodes").glob("*/*.parquet"))
        rows = []
        for file in files:
            table = self._table(file)
            rows += table.select([n for n in table.column_names if not n.startswith("stats/")]).to_pylist()
        if not rows:
            raise JepaError(f"{self.root}: meta/episodes lists no episode; get the whole dataset")
        return sorted(rows, key=lambda row: row["episode_index"])


def _may_hold(file, group: int, episode: int) -> bool:
    """Whether a row group can have rows of an episode, as far as its statistics tell."""
    row_group = file.metadata.row_group(group)
    columns = (row_group.column(i) for i in range(row_group.num_columns))
    found = next((c.statistics for c in columns if c.path_in_schema == "episode_index"), None)
    return found is None or not found.has_min_max or found.min <= episode <= found.max


def _dense(column) -> np.ndarray:
    """(L,) or (L, n) of a column of numbers or lists."""
    import pyarrow as pa

    column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    if pa.types.is_primitive(column.type):
        return column.to_numpy(zero_copy_only=False)
    return np.stack(column.to_numpy(zero_copy_only=False))
