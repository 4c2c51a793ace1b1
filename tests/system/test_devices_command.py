"""`gateway devices` when the gateway is down, and when two devices have one name."""

import asyncio
import json

import pytest
from keeping import Running, count, counter, fill
from site_under_test import SMALL_SITE, Daemon, free_port

CONFIG = SMALL_SITE


async def filled(directory):
    running = await Running.start(directory)
    two = [counter(name, label="door") for name in ("counter-a", "counter-b")]
    await fill(running.outbox, [count(0, device=device) for device in two])
    await running.outbox.write(lambda conn: conn.execute("UPDATE devices SET liveness = 'online'"))
    await running.stop()


@pytest.fixture
def down(tmp_path):
    asyncio.run(filled(tmp_path / "store"))
    config, port = tmp_path / "config.toml", free_port()
    config.write_text(CONFIG.format(port=port, directory=tmp_path))
    return Daemon(tmp_path, config, port)


def test_nobody_is_online_while_the_gateway_is_down(down):
    """What it left on disk says online; nobody has listened since, so it is unknown, and a line says why."""
    told = down.command("devices")
    assert 0 == told.returncode, told.stderr
    table, line = told.stdout.split("\n\n")
    assert "online" not in table and 2 == table.count("unknown  ")
    assert "unknown while the gateway is down" in line
    rows = json.loads(down.command("devices", "--json").stdout)
    assert ["unknown", "unknown"] == [row["liveness"] for row in rows]


def test_two_devices_of_one_name_are_shown_apart(down):
    """A blank line stands between them."""
    first, second = down.command("devices", "door").stdout.strip().split("\n\n")
    assert first.startswith("device               counter-a")
    assert second.startswith("device               counter-b")
