"""What every test may ask for."""

import pytest


@pytest.fixture
def anyio_backend():
    """The daemon runs on asyncio: its listener and its MQTT client use the asyncio loop directly."""
    return "asyncio"
