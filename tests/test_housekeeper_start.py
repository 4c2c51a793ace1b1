"""Nothing leaves the log before the gateway has said which sinks it keeps it for."""

import anyio
import pytest
from site_under_test import SMALL_SITE, free_port

from gateway.config import loads
from gateway.daemon import composing
from gateway.daemon.gateway import Gateway
from gateway.daemon.sockets import Sockets
from gateway.listener import bind_unix
from gateway.outbox import Outbox

pytestmark = pytest.mark.anyio
SINK = '[sinks.home]\ntype = "mqtt"\nendpoint = "mqtt://127.0.0.1:{port}"\n'


async def test_the_housekeeper_begins_when_the_sinks_are_known(tmp_path):
    """At its first turn retention waits for every configured sink, however long the first writes take."""
    text = SMALL_SITE.format(port=free_port(), directory=tmp_path) + SINK.format(port=free_port())
    config = loads(text)
    outbox = await Outbox.open(composing.store_settings(config))
    gateway = Gateway(config, outbox, Sockets.take(config), bind_unix(config.socket))
    expected = []

    async def first_turn() -> None:
        expected.append(sorted(outbox._places._windows))
        await anyio.sleep_forever()

    gateway._housekeeper.run = first_turn  # the housekeeper of a full store tidies at once
    with anyio.fail_after(30):
        await gateway.run(gateway.stop)
    assert [["home"]] == expected
