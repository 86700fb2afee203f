"""The parameter reference is the code's."""

from jepa_ros.nodes.base.lifecycle import AUTOSTART
from jepa_ros.nodes.bringup.graph import find
from jepa_ros.nodes.describe.reference import NODES, text


def test_committed_reference_is_the_codes():
    page = (find("package.xml").parent / "docs" / "parameters.md").read_text()
    assert page == text(), "run: python -m jepa_ros.nodes.describe.reference > docs/parameters.md"


def test_every_number_has_bounds_and_every_parameter_words():
    for node in NODES:
        for param in (AUTOSTART, *node.PARAMS):
            number = param.default[0] if isinstance(param.default, list) else param.default
            assert param.description.strip(), param.name
            assert type(number) not in (int, float) or param.low is not None and param.high is not None, (
                param.name
            )
