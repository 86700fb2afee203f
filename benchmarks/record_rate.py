"""Does `jepa record` keep up with a 640x480 camera? Publishes, records and counts, each in a process of its own.

    python benchmarks/record_rate.py --seconds 30 --json FILE

A camera of --rate Hz (rgb8) and joint states of 100 Hz are published with numbered stamps for --seconds;
`jepa record` records them; then the bag is read back and every number is looked for.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAMESPACE = "record_rate"
JOINT_RATE_HZ = 100.0
TOPICS = {f"/{NAMESPACE}/image": "image", f"/{NAMESPACE}/joint_states": "joint_states"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=30.0, help="images per second")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument(
        "--content", choices=("noise", "smooth"), default="noise", help="noise: incompressible"
    )
    parser.add_argument(
        "--depth", type=int, default=5, help="queue of the publishers; 1 loses where they are late"
    )
    parser.add_argument("--compression", choices=("zstd", "none"), default="zstd")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--publish", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.publish:
        publish(args)
        return
    result = measure(args)
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


def measure(args) -> dict:
    """Run recorder and publisher, then count; the result is JSON-able."""
    from bench_command import command_line

    from jepa_ros.evaluation.bench.resident import peak_mib
    from jepa_ros.evaluation.provenance import machine, source_commit

    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder) / "bag"
        recorder = subprocess.Popen(
            [sys.executable, "-m", "jepa_ros.cli.main", "record", "--namespace", NAMESPACE, "--out", str(bag)]
            + ["--compression", args.compression],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            publisher = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--publish"],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            peak = peak_mib(recorder.pid)
            recorder.send_signal(signal.SIGINT)
            table, _ = recorder.communicate(timeout=60)
        finally:
            recorder.kill()
        print(table, file=sys.stderr)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        published = json.loads(publisher.stdout)
        counted = count(bag, published["counts"])
        size = sum(f.stat().st_size for f in bag.iterdir())
    return {
        "command": command_line("benchmarks/record_rate.py", None),
        "seconds": args.seconds,
        "image": f"{args.width}x{args.height} rgb8 at {args.rate:g} Hz, {args.content}",
        "compression": args.compression,
        "topics": counted,
        "bag_mb": round(1e-6 * size, 1),
        "recorder_cpu_share": round((usage.ru_utime + usage.ru_stime - published["cpu_s"]) / args.seconds, 3),
        "recorder_peak_mib": peak,
        "published_late_ms_max": published["late_ms_max"],
        "machine": machine(),
        "commit": source_commit(),
    }


def count(bag: Path, published: dict[str, int]) -> dict:
    """Per topic: published, recorded (different numbers found in the bag), missing, recorder's own count of losses."""
    from jepa_ros.data.bag_files import BagFile

    numbers: dict[str, list[int]] = {topic: [] for topic in TOPICS}
    with BagFile(bag) as file:
        for message in file.messages(set(TOPICS)):
            numbers[message.topic].append(file.deserialize(message).header.stamp.sec)
        lost = file.metadata["lost"]
    return {
        name: {
            "published": published[name],
            "recorded": len(set(numbers[topic])),
            "twice": len(numbers[topic]) - len(set(numbers[topic])),
            "missing": published[name] - len(set(numbers[topic])),
            "told_lost": sum(lost.get(topic, {}).values()),
        }
        for topic, name in TOPICS.items()
    }


def publish(args) -> None:
    """Publish once both topics have a reader; prints counts as JSON. The number of a message is its stamp's sec."""
    import array

    import numpy as np
    import rclpy
    from rclpy.qos import QoSProfile
    from sensor_msgs.msg import Image, JointState

    rclpy.init()
    node = rclpy.create_node("camera", namespace=NAMESPACE)
    qos = QoSProfile(depth=args.depth)
    images = node.create_publisher(Image, "image", qos)
    joints = node.create_publisher(JointState, "joint_states", qos)
    rng = np.random.default_rng(0)
    shape = (args.height, args.width, 3)
    if args.content == "noise":
        frames = rng.integers(0, 255, (8, *shape), dtype=np.uint8)
    else:
        ramp = np.linspace(0, 200, args.width) + np.linspace(0, 55, args.height)[:, None]
        frames = [(ramp[..., None] + rng.normal(0, 2, shape)).clip(0, 255).astype(np.uint8) for _ in range(8)]
    image = Image(height=args.height, width=args.width, encoding="rgb8", step=3 * args.width)
    pixels = [array.array("B", frame.tobytes()) for frame in frames]
    state = JointState(name=[f"joint_{i}" for i in range(6)], position=[0.0] * 6, velocity=[0.0] * 6)
    while min(images.get_subscription_count(), joints.get_subscription_count()) < 1:
        time.sleep(0.05)
    time.sleep(0.5)
    total = {"image": int(args.seconds * args.rate), "joint_states": int(args.seconds * JOINT_RATE_HZ)}
    sent = {"image": 0, "joint_states": 0}
    period = {"image": 1 / args.rate, "joint_states": 1 / JOINT_RATE_HZ}
    due = dict.fromkeys(sent, time.monotonic())
    late = 0.0
    while sent != total:
        name = min((n for n in sent if sent[n] < total[n]), key=due.get)
        time.sleep(max(0.0, due[name] - time.monotonic()))
        now = time.monotonic()
        late = max(late, now - due[name])
        due[name] = max(
            due[name] + period[name], now + period[name] / 2
        )  # a late camera does not catch up at once
        message, publisher = (image, images) if name == "image" else (state, joints)
        message.header.stamp.sec = sent[name]
        if name == "image":
            image.data = pixels[sent[name] % len(pixels)]
        publisher.publish(message)
        sent[name] += 1
    time.sleep(1.0)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {"counts": sent, "late_ms_max": round(1e3 * late, 1), "cpu_s": usage.ru_utime + usage.ru_stime}
        )
    )
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
