"""The constants of SafetyStatus.msg mirror the enums."""

import re
from pathlib import Path

from jepa_ros.safety.states import Reason, SafetyState

MESSAGE = Path(__file__).parents[2] / "msg" / "SafetyStatus.msg"


def test_message_constants_are_the_states_and_reasons():
    constants = dict(re.findall(r"^uint8 ([A-Z_]+)=(\d+)", MESSAGE.read_text(), flags=re.MULTILINE))
    expected = {member.name: str(int(member)) for member in (*SafetyState, *Reason)}
    assert constants == expected
