"""What every test may ask for."""

import os

import pytest

# pytest loads readline, which puts COLUMNS behind Python's back into what programs that a test starts inherit: their
# tables would be folded as on an 80 column screen.
if "COLUMNS" not in os.environ:
    os.unsetenv("COLUMNS")


@pytest.fixture
def anyio_backend():
    """The daemon runs on asyncio: its listener and its MQTT client use the asyncio loop directly."""
    return "asyncio"


def pytest_collection_modifyitems(items):
    """Begin with the long ones, so that the others fill the time beside them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
