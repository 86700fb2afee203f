"""MP4 video: frames in at a fixed rate, frames out by time. PyAV."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from jepa_ros.errors import JepaError

CODEC = "h264"
"""LeRobot's own choice is AV1; its encoder libsvtav1, run as root, puts the calling process under real-time scheduling
for good, which starves the machine, and with it a robot's controller."""
_ENCODER, _OPTIONS = "libx264", {"g": "2", "crf": "18"}  # a key frame every second frame: fast random access
PIXELS = "yuv420p"
"""What every player and LeRobot's decoders read; it keeps colour at half the resolution."""


class VideoWriter:
    """One video of (height, width, 3) uint8 RGB frames, 1 / fps apart from 0 s on. A context manager.

    bytes: that the encoder has given so far; it holds some frames back.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]):
        import av

        self.path, self.fps, self.frames, self.bytes = Path(path), fps, 0, 0
        height, width = size
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), "w")
        try:
            self._stream = self._container.add_stream(
                _ENCODER, rate=Fraction(fps).limit_denominator(1000), options=dict(_OPTIONS)
            )
            self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, PIXELS
            self._stream.codec_context.open()
        except (av.error.FFmpegError, ValueError) as error:
            raise JepaError(
                f"{CODEC} video of {width}x{height} at {fps:g} Hz cannot be encoded ({error}); give even "
                "sizes (--image-size), or keep images (--images)"
            ) from error

    @property
    def seconds(self) -> float:
        """Where the next frame goes."""
        return self.frames / self.fps

    def add(self, image: np.ndarray) -> None:
        """Append a frame."""
        from av import VideoFrame

        self._write(VideoFrame.from_ndarray(image, format="rgb24"))
        self.frames += 1

    def close(self) -> None:
        """Write what the encoder holds back, and the index."""
        self._write(None)
        self._container.close()

    def _write(self, frame) -> None:
        packets = self._stream.encode(frame)
        self.bytes += sum(packet.size for packet in packets)
        self._container.mux(packets)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.close()


def read_video(path: Path, times: Sequence[float], tolerance: float) -> Iterator[np.ndarray]:
    """(h, w, 3) uint8 RGB frames nearest to ascending times in s.

    JepaError where the file cannot be decoded or has no frame within `tolerance` s of a time.
    """
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            container.seek(max(0, int(times[0] / stream.time_base)), stream=stream)
            decoded = container.decode(stream)
            before = after = next(decoded, None)
            for time in times:
                while after is not None and after.time < time:
                    before, after = after, next(decoded, None)
                near = [f for f in (before, after) if f is not None]
                best = min(near, key=lambda frame: abs(frame.time - time), default=None)
                if best is None or abs(best.time - time) > tolerance:
                    raise JepaError(f"{path}: no frame at {time:.3f} s; the video is shorter than its data")
                yield best.to_ndarray(format="rgb24")
    except (av.error.FFmpegError, IndexError) as error:
        raise JepaError(f"{path}: cannot be decoded as video ({error}); get the file again") from error
