"""What the browser part of a page would say: read the data of a stream component, answer it.

AppTest draws no component, so its messages are put among the widget states by hand.
"""

import json
from typing import Any

from streamlit.testing.v1 import AppTest


def shown(page: AppTest, key: str) -> dict[str, Any]:
    """The data that the component of this key was given."""
    found: dict[str, Any] = json.loads(_proto(page, key).json)
    return found


def send(page: AppTest, key: str, **messages: object) -> dict[str, Any]:
    """Send state values of a component, as `setStateValue` does; returns its data afterwards."""
    push(page, key, **messages)
    return shown(page, key)


def push(page: AppTest, key: str, **messages: object) -> None:
    """Send state values of a component that may be gone afterwards."""
    states = page._tree.get_widget_states()
    state = states.widgets.add()
    state.id = _proto(page, key).id
    state.json_value = json.dumps(messages)
    page._run(states)
    assert not page.exception


def _proto(page: AppTest, key: str) -> Any:  # noqa: ANN401 - protobuf messages are not typed here
    for element in page.get("bidi_component"):
        proto: Any = element.proto
        if proto.id.endswith(f"-{key}"):
            return proto
    raise AssertionError(f"The page has no component {key!r}.")
