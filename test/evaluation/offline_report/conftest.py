"""A made-up but complete result of an offline evaluation, in every size the report has to bear."""

import numpy as np
import pytest

JOINTS = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"]
START = 1_754_300_000.0
HOSTILE = '</script><img src=x onerror="window.hacked=1">$x_1^{%{y}'


@pytest.fixture(scope="session")
def make_result():
    """make_result(bags=1, checkpoints=1, episodes=2, frames=300, prefix="run") -> (result, thumbnails)."""
    return synthetic_result


@pytest.fixture(scope="session")
def make_hostile():
    """make_hostile(result) -> the same with markup of every kind in each text that could come from outside."""
    return hostile


def hostile(node):
    if isinstance(node, dict):
        kept = ("severity", "tone", "says", "anchor", "better", "quantile", "created")
        return {k: v if k in kept else hostile(v) for k, v in node.items()}
    if isinstance(node, list):
        return [hostile(v) for v in node]
    return node + HOSTILE if isinstance(node, str) else node


def synthetic_result(bags=1, checkpoints=1, episodes=2, frames=300, prefix="run"):
    rng = np.random.default_rng(7)
    names = [f"{prefix}_{i:02d}" for i in range(bags)]
    thumbnails = [scene(rng) for _ in range(14)]
    measured = [measures(rng, names, episodes, frames, skill=1 - 0.35 * i) for i in range(checkpoints)]
    result = {
        "format": 1,
        "created": "2026-11-21T04:42:00+00:00",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "machine": {"processor": "synthetic", "cores": 2, "memory_gib": 23.4, "python": "3.11.7"},
        "libraries": {"numpy": "2.3.5", "torch": "2.13.0"},
        "settings": {"horizon": 5, "block": 4, "rate_hz": 10.0, "seed": 0, "plan_every_s": 2.0},
        "speed": {"recorded_s": bags * episodes * frames / 10, "spent_s": 2.4, "times_real_time": 26.3},
        "bags": [bag(rng, name, episodes, frames, i) for i, name in enumerate(names)],
        "checkpoints": [
            {"name": f"reach_v{2 - i}", "path": f"models/reach_v{2 - i}", "model_id": f"{i}" * 64, "measures": m}
            for i, m in enumerate(measured)
        ],
        "comparison": comparison() if checkpoints == 2 else None,
        "findings": [
            {"tone": "good", "text": "One block ahead the model is 62 % better than copying the last frame.", "todo": "", "anchor": "prediction"},
            {"tone": "good", "text": "Shuffling the actions makes predictions 2.4 times worse: the model looks at actions.", "todo": "", "anchor": "prediction"},
            {"tone": "bad", "text": "3.1 % of frames surprise the model, three times what held-out training frames did.", "todo": "Look at the frames below; record more data like them and train again.", "anchor": "surprise"},
            {"tone": "bad", "text": "The camera paused for 0.6 s at 31.2 s.", "todo": "Check the cable and the exposure time.", "anchor": "problems"},
            {"tone": "note", "text": "These frames differ from training more than usual.", "todo": "Compare light and camera pose with training.", "anchor": "health"},
        ],
    }  # fmt: skip
    return result, thumbnails


def scene(rng):
    """A grey table, a coloured block, a dark arm: (48, 64, 3) uint8 RGB."""
    image = np.full((48, 64, 3), 190, np.uint8) + rng.integers(0, 12, (48, 64, 1), dtype=np.uint8)
    y, x = rng.integers(8, 34), rng.integers(8, 50)
    image[y : y + 8, x : x + 8] = (200, 60, 40)
    image[: y + 4, 30:34] = 50
    return image


def bag(rng, name, episodes, frames, number):
    topics = [("/camera/image_raw/compressed", "sensor_msgs/msg/CompressedImage", 30, 84.0),
              ("/joint_states", "sensor_msgs/msg/JointState", 100, 3.2),
              ("/jepa/embedding", "jepa_ros/msg/Embedding", 10, 1.4),
              ("/jepa/plan", "jepa_ros/msg/ActionPlan", 2.5, 0.2),
              ("/tf", "tf2_msgs/msg/TFMessage", 100, 4.1)]  # fmt: skip
    seconds = episodes * frames / 10
    return {
        "name": name,
        "path": f"bags/{name}",
        "digest": "sha256:" + "ab" * 32,
        "seconds": seconds,
        "frames": episodes * frames,
        "episodes": episodes,
        "recorder": {"model_id": "0" * 64, "task": "reach"},
        "topics": [
            {
                "topic": topic,
                "type": kind,
                "count": int(rate * seconds),
                "rate_hz": rate * 0.998,
                "period_ms_p50": 1000 / rate,
                "period_ms_p95": 1100 / rate,
                "jitter_ms_p95": 100 / rate,
                "longest_gap_s": 0.61 if i == 0 else 3 / rate,
                "longest_gap_at_s": 31.2,
                "dropped": 17 if i == 0 else 0,
                "size_mb": size,
                "age_ms_p50": 12.0,
                "age_ms_p95": 21.0,
            }
            for i, (topic, kind, rate, size) in enumerate(topics)
        ],
        "stages": {
            key: {"p50": p50, "p95": 1.6 * p50 * rng.uniform(0.9, 1.2), "n": 300}
            for key, p50 in (("encode_ms", 1.9), ("plan_ms", 61.0), ("rollout_ms", 34.0), ("cost_ms", 7.5),
                             ("image_age_ms", 14.0), ("image_to_command_ms", 83.0))
        },
        "deadline_misses": 2,
        "late_answers": 0,
        "vetoed": 1,
        "problems": [
            {"severity": "info", "kind": "markers", "topic": "", "text": "no episode markers: episodes begin at goals", "stamp_s": None, "count": 1},
            {"severity": "warning", "kind": "gap", "topic": "/camera/image_raw/compressed", "text": "no image for 0.61 s; the frames between are left out", "stamp_s": START + 31.2, "count": 1},
            {"severity": "error", "kind": "clock_jump", "topic": "/joint_states", "text": "stamps go back by 3.2 s; what follows is its own episode", "stamp_s": START + 44.1, "count": 1},
        ][: 3 if number == 0 else 1],
    }  # fmt: skip


def measures(rng, names, episodes, frames, skill):
    horizons = np.arange(1, 6)
    model = (0.9 - 0.5 * skill) * 0.3 * horizons**0.7
    tracks = [(name, e) for name in names for e in range(episodes)]
    time = np.arange(frames) / 10
    values = 400
    series = [
        {
            "bag": name,
            "episode": e,
            "stamps_s": (START + 60 * e + time).tolist(),
            "time_s": time.tolist(),
            "surprise": (bumps(rng, frames) / skill).tolist(),
        }
        for name, e in tracks
    ]
    return {
        "prediction": {
            "horizons": horizons.tolist(),
            "model": model.tolist(),
            "copy_last": (0.32 * horizons**0.8).tolist(),
            "shuffled": (0.29 * horizons**0.85).tolist(),
            "model_ci": [[0.93 * m, 1.07 * m] for m in model],
            "n": 2800,
            "gain_over_copy": 0.62 * skill,
            "action_gain": 0.58 * skill,
        },
        "actions": {
            "n": values,
            "joint_names": JOINTS,
            "mae_rad": (rng.uniform(0.01, 0.03, 5) / skill).tolist(),
            "sign_agreement": (0.5 + 0.42 * skill * rng.uniform(0.8, 1, 5)).tolist(),
            "cosine": spread(np.clip(1 - rng.exponential(0.35 / skill, values), -1, 1)),
            "rank": {**spread(np.clip(rng.exponential(0.12 / skill, values), 0, 1)), "candidates": 256},
        },
        "goal_distance": {
            "spearman_time": {"mean": 0.93 * skill, "ci": [0.9 * skill, 0.96 * skill]},
            "spearman_distance": {"mean": 0.9 * skill, "ci": [0.86 * skill, 0.93 * skill]},
            "episodes": [approach(rng, name, e, frames, skill) for name, e in tracks],
        },
        "landscapes": [valley(rng, names[0], i) for i in range(4)],
        "surprise": {
            "threshold": 0.29,
            "quantile": "0.99",
            "median": 0.11,
            "p95": 0.22,
            "share_above": 0.031,
            "series": series,
            "spikes": spikes(series, count=14),
        },
        "health": {
            "effective_rank": 21.4 * skill,
            "training_effective_rank": 24.0,
            "latent_std": 0.98,
            "latent_std_min": 0.31,
            "dim": 128,
            "ood": {"median": 1.08, "p95": 1.6, "threshold": 1.52, "share_above": 0.066},
            "series": [
                {
                    "bag": name,
                    "episode": e,
                    "time_s": time.tolist(),
                    "ood": (1.05 + 0.3 * bumps(rng, frames)).tolist(),
                }
                for name, e in tracks
            ],
        },
        "reproduced": {
            "plans": 24,
            "bit_equal": 24,
            "largest_difference_rad": 0.0,
            "embeddings": 300,
            "embeddings_bit_equal": 300,
            "largest_latent_difference": 0.0,
            "note": "",
        },
    }


def spread(values):
    return {"mean": float(values.mean()), "median": float(np.median(values)), "values": values.tolist()}


def bumps(rng, frames):
    signal = 0.1 + 0.02 * rng.standard_normal(frames).cumsum() / np.sqrt(np.arange(1, frames + 1))
    signal += 0.02 * rng.exponential(1, frames)
    for at in rng.integers(0, frames, 3):
        signal[at : at + 4] += 0.35
    return np.abs(signal)


def spikes(series, count):
    """The highest frame of each third of a track, the first ten with a picture."""
    found = []
    for track in series:
        for part in np.array_split(np.arange(len(track["time_s"])), 3):
            at = int(part[np.argmax(np.array(track["surprise"])[part])])
            found.append(
                {
                    "bag": track["bag"],
                    "episode": track["episode"],
                    "stamp_s": track["stamps_s"][at],
                    "time_s": track["time_s"][at],
                    "surprise": track["surprise"][at],
                    "image_index": 3 * at,
                }
            )
    found = sorted(found, key=lambda s: -s["surprise"])[:count]
    return [{**spike, "thumbnail": i if i < 10 else None} for i, spike in enumerate(found)]


def approach(rng, name, episode, frames, skill):
    to_go = np.arange(frames)[::-1] / 10
    truth = 0.25 * (1 - np.exp(-to_go / to_go.max() * 3))
    noise = 0.4 * (1.2 - skill) * rng.standard_normal(frames).cumsum() / np.sqrt(frames)
    latent = np.abs(8 * truth / 0.25 * (0.8 + 0.2 * rng.random()) + noise * 4)
    latent[-1] = 0
    return {
        "bag": name,
        "episode": episode,
        "times_to_go_s": to_go.tolist(),
        "distance": latent.tolist(),
        "ee_distance_m": truth.tolist(),
        "spearman_time": float(0.93 * skill - 0.1 * rng.random()),
        "spearman_distance": float(0.9 * skill - 0.1 * rng.random()),
    }


def valley(rng, name, number):
    x = y = np.linspace(-0.12, 0.12, 21)
    cx, cy = rng.uniform(-0.07, 0.07, 2)
    cost = 3 + 260 * (x[None] - cx) ** 2 + 150 * (y[:, None] - cy) ** 2
    return {
        "bag": name,
        "episode": 0,
        "stamp_s": START + 8 * number,
        "time_s": 8.0 * number,
        "joint_x": JOINTS[0],
        "joint_y": JOINTS[1],
        "x": x.tolist(),
        "y": y.tolist(),
        "cost": cost.tolist(),
        "recorded": [cx + 0.01, cy - 0.02],
        "planned": [cx - 0.012, cy + 0.008],
        "least": [float(x[np.abs(x - cx).argmin()]), float(y[np.abs(y - cy).argmin()])],
        "thumbnail": 10 + number,
    }


def comparison():
    rows = [
        ("prediction error, 1 block", "", "lower", 0.12, 0.17, [0.03, 0.07], "a"),
        ("rank of the recorded block", "", "lower", 0.12, 0.18, [0.02, 0.09], "a"),
        ("goal distance, Spearman with time", "", "higher", 0.93, 0.60, [-0.41, -0.27], "a"),
        ("action error", "rad", "lower", 0.021, 0.022, [-0.002, 0.004], "same"),
    ]
    return {
        "a": "reach_v2",
        "b": "reach_v1",
        "rows": [
            {
                "measure": m,
                "unit": u,
                "better": w,
                "a": a,
                "b": b,
                "difference": b - a,
                "ci": ci,
                "n": 12,
                "says": s,
            }
            for m, u, w, a, b, ci, s in rows
        ],
        "verdict": "reach_v2 is better than reach_v1 on 3 of 4 figures and worse on none.",
    }
