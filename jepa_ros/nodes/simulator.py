"""The MuJoCo SO-101 with the topics that a real arm and camera have."""

import threading
import time
from array import array
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue

import numpy as np
from geometry_msgs.msg import PointStamped
from rclpy.clock import Clock, ClockType
from rosgraph_msgs.msg import Clock as ClockMsg
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from jepa_ros.data.stamps import stamp_ns
from jepa_ros.errors import JepaError
from jepa_ros.nodes.base.diagnostics import Report
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.base.parameters import Param
from jepa_ros.nodes.base.run import run
from jepa_ros.nodes.wire import images, qos
from jepa_ros.simulation import disturbance
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task
from jepa_ros.simulation.trajectory import JointTrajectoryFollower

_TICK_S = 0.01
_LOST_S = 0.1  # further behind than this, the lost time is skipped instead of made up for


class SimulatorNode(ManagedNode):
    """`joint_trajectory` -> `image`, `image/compressed`, `camera_info`, `joint_states`, `/clock`; `~/reset`;
    `~/cube` in tasks with a cube.

    Physics keeps real time, and stamps are the system clock's at the moment that they describe; `/clock` says
    the same time. So both settings of use_sim_time work, and a stamp's age is a true latency. A trajectory
    acts as in a joint trajectory controller. One thread owns the simulation and its OpenGL context from
    configure to clean-up.
    """

    NAME = "simulator"
    PARAMS = (
        Param("task", "reach", "Scene: reach, or push (with a cube). Read at ~/reset too."),
        Param("seed", 0, "Episode whose start pose is taken. Read at ~/reset too.", 0, 2**31 - 1),
        Param("image_width", 64, "px.", 8, 4096),
        Param("image_height", 64, "px.", 8, 4096),
        Param("meshes", "boxes", "boxes is fast, full looks real and is slow.", choices=("boxes", "full")),
        Param("image_rate_hz", 25.0, "Camera frames per second.", 0.1, 100.0),
        Param("joint_state_rate_hz", 50.0, "joint_states per second.", 1.0, 100.0),
        Param(
            "disturbance",
            disturbance.NONE,
            "What spoils the camera's images, to see what the planner makes of it. Read for every image.",
            choices=(disturbance.NONE, *disturbance.DISTURBANCES),
        ),
        Param("camera_frame", "camera_optical_frame", "frame_id of images."),
    )

    def _setup(self) -> None:
        self._jobs: SimpleQueue = SimpleQueue()
        self._ended = threading.Event()
        self._sim: Simulator | None = None
        self._clock = Clock(clock_type=ClockType.SYSTEM_TIME)
        self._skipped_s = 0.0
        self._rendering, self._physics = self.health.stage("image"), self.health.stage("physics")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="simulator")
        self._thread.submit(self._begin_episode).result()
        self._images = self.publisher(Image, "image", qos.IMAGE_OUT)
        self._compressed = self.publisher(CompressedImage, "image/compressed", qos.IMAGE_OUT)
        self._infos = self.publisher(CameraInfo, "camera_info", qos.IMAGE_OUT)
        self._joints = self.publisher(JointState, "joint_states", qos.JOINT_STATES_OUT)
        self._clocks = self.publisher(ClockMsg, "/clock", qos.CLOCK)
        self._cubes = self.publisher(PointStamped, "~/cube", qos.STATUS)
        self.subscriber(JointTrajectory, "joint_trajectory", self._on_trajectory, qos.COMMAND)
        self.serve(Trigger, "~/reset", self._serve_reset)

    def _teardown(self) -> None:
        if self._sim is not None:
            self._thread.submit(self._sim.close).result()
        self._thread.shutdown()

    def _start(self) -> None:
        self._ended.clear()
        self._loop = self._thread.submit(self._run)

    def _stop(self) -> None:
        self._ended.set()
        self._loop.result()

    def _diagnose(self, report: Report) -> None:
        report.add("task", self._sim.task)
        report.add("skipped_s", self._skipped_s)
        if self.param("disturbance") != disturbance.NONE:
            report.warn(f"the camera is disturbed: {self.param('disturbance')}")

    # In the executor's thread.

    def _on_trajectory(self, msg: JointTrajectory) -> None:
        names = self._sim.joint_names
        index = {name: i for i, name in enumerate(msg.joint_names)}
        if sorted(index) != sorted(names) or len(index) != len(msg.joint_names):
            raise JepaError(
                f"joint_trajectory ignored: its joints are {list(msg.joint_names)}, the arm's {list(names)}"
            )
        if not msg.points or any(len(point.positions) != len(names) for point in msg.points):
            raise JepaError("joint_trajectory ignored: it needs points with a position for every joint")
        order = [index[name] for name in names]
        positions = np.array([point.positions for point in msg.points])[:, order]
        times = np.array([p.time_from_start.sec + 1e-9 * p.time_from_start.nanosec for p in msg.points])
        stamp, received = stamp_ns(msg) * 1e-9, self._now()
        self._jobs.put((lambda: self._follower.accept(received, stamp, positions, times), Future()))

    def _serve_reset(self, request, response) -> None:
        if not self.active:
            raise JepaError("the simulator is not active; activate it, then reset")
        done: Future = Future()
        self._jobs.put((self._begin_episode, done))
        done.result(30.0)
        response.success = True
        response.message = f"task {self.param('task')}, seed {self.param('seed')}"

    # In the simulation's thread.

    def _now(self) -> float:
        return self._clock.now().nanoseconds * 1e-9

    def _begin_episode(self) -> None:
        start, _ = make_task(self.param("task")).episode(self.param("seed"))
        if self._sim is None or self._sim.task != self.param("task"):
            if self._sim is not None:
                self._sim.close()
            size = self.param("image_height"), self.param("image_width")
            self._sim = Simulator(self.param("task"), size, self.param("meshes"))
        self._sim.reset(start)
        self._sim.render()  # warm up, and fail at configure where rendering cannot work
        self._follower = JointTrajectoryFollower(self._sim.target)

    def _run(self) -> None:
        try:
            self._keep_real_time()
        except Exception as error:
            self.report(error)

    def _keep_real_time(self) -> None:
        every_image = max(1, round(1 / (_TICK_S * self.param("image_rate_hz"))))
        every_joints = max(1, round(1 / (_TICK_S * self.param("joint_state_rate_hz"))))
        tick, due = 0, time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            self._do_jobs()
            now = self._clock.now()
            header = Header(stamp=now.to_msg(), frame_id=self.param("camera_frame"))
            self._clocks.publish(ClockMsg(clock=header.stamp))
            if tick % every_joints == 0 or tick % every_image == 0:
                self._publish_joints(header.stamp)
            if tick % every_image == 0:
                self._rendering.run(self._publish_image, header)
            self._sim.set_target(self._follower.target(now.nanoseconds * 1e-9))
            self._physics.run(self._sim.advance, _TICK_S)
            tick, due = tick + 1, due + _TICK_S
            if time.monotonic() - due > _LOST_S:
                self._skipped_s += time.monotonic() - due
                self.get_logger().warning(
                    "physics fell behind real time: the machine is too busy", throttle_duration_sec=5.0
                )
                due = time.monotonic()

    def _do_jobs(self) -> None:
        while True:
            try:
                job, done = self._jobs.get_nowait()
            except Empty:
                return
            try:
                done.set_result(job())
            except Exception as error:
                done.set_exception(error)
                self.report(error)

    def _publish_joints(self, stamp) -> None:
        self._joints.publish(
            JointState(
                header=Header(stamp=stamp),
                name=list(self._sim.joint_names),
                position=array("d", self._sim.joint_positions),
                velocity=array("d", self._sim.joint_velocities),
            )
        )
        cube = self._sim.cube
        if cube is not None:
            msg = PointStamped(header=Header(stamp=stamp, frame_id="base"))
            msg.point.x, msg.point.y, msg.point.z = cube.tolist()
            self._cubes.publish(msg)

    def _publish_image(self, header: Header) -> None:
        self._sim.disturb(self.param("disturbance"))
        image = self._sim.render()
        self._images.publish(images.to_msg(image, header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(images.to_compressed_msg(image, header))
        info = self._sim.camera_info()
        self._infos.publish(
            CameraInfo(
                header=header,
                width=info["width"],
                height=info["height"],
                distortion_model=info["distortion_model"],
                d=array("d", info["d"]),
                **{key: info[key].reshape(-1) for key in ("k", "r", "p")},
            )
        )


def main() -> None:
    """`ros2 run jepa_ros simulator`"""
    raise SystemExit(run(lambda: [SimulatorNode()]))


if __name__ == "__main__":
    main()
