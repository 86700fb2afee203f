"""A recording as the model sees it: latents, joints and actions at the model's rate, one Track per unbroken run."""

from dataclasses import dataclass

import numpy as np

from jepa_ros.data.recording import Recording
from jepa_ros.data.resample import Frames
from jepa_ros.errors import JepaError
from jepa_ros.world_model.checkpoint import Checkpoint


@dataclass(frozen=True)
class Track:
    """L frames, 1 / rate_hz apart. bag: its name.  index: number of the run in the bag.

    latents: (L, D) float32.  proprio: (L, A) float32 rad, measured.  actions: (L, A) float32 rad, raw deltas, the
    last 0.  stamps: (L,) float64 s.  image_index: (L,) into the recording's images.
    end_effector: (L, 3) m, or None where it is not known; end_effector_source: "tf", "kinematics" or "".
    """

    bag: str
    index: int
    latents: np.ndarray
    proprio: np.ndarray
    actions: np.ndarray
    stamps: np.ndarray
    image_index: np.ndarray
    end_effector: np.ndarray | None = None
    end_effector_source: str = ""

    def __len__(self) -> int:
        return len(self.stamps)


def read_tracks(recording: Recording, checkpoint: Checkpoint, min_frames: int = 2) -> list[Track]:
    """Encode the frames of a recording one by one, as the live encoder does: the same latents to the bit.

    Images are not kept. Runs shorter than min_frames are left out. Problems on the way are noted in the
    recording.
    """
    spec = checkpoint.spec
    differing = [n for n in spec.differences(recording.spec) if n != "block"]
    if differing:
        raise JepaError(
            f"{recording.path}: was read by an ActionSpec whose {', '.join(differing)} differ from those of "
            f"checkpoint {checkpoint.path}; read it by the checkpoint's"
        )
    runs = recording.read_frames(checkpoint.model.image_size, checkpoint.model.embed, min_frames)
    return [
        Track(
            recording.path.name,
            index,
            np.stack(latents),
            frames.joint_positions.astype(np.float32),
            frames.actions.astype(np.float32),
            frames.stamps,
            frames.image_index,
            *_end_effector(recording, frames),
        )
        for index, (frames, latents) in enumerate(runs)
    ]


def _end_effector(recording: Recording, frames: Frames) -> tuple[np.ndarray | None, str]:
    try:
        found = recording.end_effector(frames)
    except JepaError as error:
        recording.note("", str(error))
        return None, ""
    return found or (None, "")
