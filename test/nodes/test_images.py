import sys
import types

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from jepa_ros.errors import JepaError
from jepa_ros.nodes import images

BAYER = Image(encoding="bayer_rggb8", height=2, width=2, step=2, data=bytes(4))


def test_rgb_round_trip():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(images.from_msg(images.to_msg(picture, Header())), picture)


def test_without_cv_bridge_the_encodings_that_can_be_had_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    with pytest.raises(JepaError, match="'bayer_rggb8' is not supported; publish one of rgb8"):
        images.from_msg(BAYER)


def test_other_encodings_are_asked_of_cv_bridge_as_rgb8(monkeypatch):
    class CvBridgeError(TypeError):
        pass

    class CvBridge:  # the documented signature; the real one is not among the wheels
        def imgmsg_to_cv2(self, img_msg, desired_encoding):
            if img_msg.encoding != "bayer_rggb8":
                raise CvBridgeError("no conversion")
            assert desired_encoding == "rgb8"
            return np.full((2, 2, 3), 9, np.uint8)

    module = types.ModuleType("cv_bridge")
    module.CvBridge, module.CvBridgeError = CvBridge, CvBridgeError
    monkeypatch.setitem(sys.modules, "cv_bridge", module)
    assert images.from_msg(BAYER)[0, 0].tolist() == [9, 9, 9]
    with pytest.raises(JepaError, match="'32FC1' is one that cv_bridge cannot"):
        images.from_msg(Image(encoding="32FC1", height=1, width=1, step=4, data=bytes(4)))
