import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from jepa_ros.data.messages import deserialize
from jepa_ros.errors import JepaError
from jepa_ros.nodes.wire import images

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
PAYLOAD = PICTURE.tobytes()


def test_rgb_round_trip():
    np.testing.assert_array_equal(images.from_msg(images.to_msg(PICTURE, Header())), PICTURE)


@pytest.mark.parametrize(
    "msg",
    [
        Image(encoding="bayer_rggb8", height=6, width=8, step=8, data=PAYLOAD[:48]),
        Image(encoding="yuv422_yuy2", height=6, width=8, step=16, data=PAYLOAD[:96]),
        Image(encoding="mono16", height=6, width=8, step=16, is_bigendian=1, data=PAYLOAD[:96]),
        images.to_compressed_msg(PICTURE, Header(), "jpeg"),
        images.to_compressed_msg(PICTURE, Header(), "png"),
    ],
    ids=lambda msg: getattr(msg, "encoding", None) or msg.format,
)
def test_a_live_message_and_its_bytes_in_a_bag_give_the_same_pixels(msg):
    from rclpy.serialization import serialize_message

    from jepa_ros.data.images import decode_message

    kind = "sensor_msgs/msg/" + type(msg).__name__
    recorded = decode_message(deserialize(serialize_message(msg), kind))
    np.testing.assert_array_equal(images.from_msg(msg), recorded)


def test_encodings_that_cannot_be_had_are_named():
    with pytest.raises(JepaError, match="'32FC1' is not supported; publish one of rgb8"):
        images.from_msg(Image(encoding="32FC1", height=1, width=1, step=4, data=bytes(4)))
    with pytest.raises(JepaError, match="'tiff'.*neither JPEG nor PNG"):
        images.from_msg(CompressedImage(format="tiff", data=b"II*"))
