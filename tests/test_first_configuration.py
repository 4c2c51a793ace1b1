"""A gateway that started without a file takes over the one that an installer writes then."""

import os
from types import SimpleNamespace

import pytest

from gateway.daemon.reloading import Reloading
from gateway.errors import ConfigError
from gateway.faults import Faults

pytestmark = pytest.mark.anyio


def started_without_a_file(usual):
    """Give a reload, and the gateway that it is for: what it was told is in ``taken``."""
    taken = []

    async def reload(config):
        taken.append(config)

    gateway = SimpleNamespace(
        faults=Faults(),
        stopping=False,
        reload=reload,
        waits_for_restart=[],
        checkup=SimpleNamespace(path=None),
    )
    reloading = Reloading(gateway, None, usual)
    reloading.begin()
    return reloading, gateway, taken


async def test_a_file_that_came_after_the_start_is_taken_over(tmp_path):
    """A reload looks where the file usually is, and the doctor is told of it."""
    usual = tmp_path / "config.toml"
    reloading, gateway, taken = started_without_a_file(usual)
    await reloading.apply()
    assert "lobby-7" != taken[0].gateway.id
    usual.write_text('[gateway]\nid = "lobby-7"\n')
    await reloading.apply()
    assert "lobby-7" == taken[1].gateway.id
    assert usual == gateway.checkup.path


async def test_a_mistake_in_it_is_told_and_nothing_taken(tmp_path):
    """The very first file is checked like every other."""
    usual = tmp_path / "config.toml"
    reloading, gateway, taken = started_without_a_file(usual)
    usual.write_text("[gateway]\nid = 7\n")
    with pytest.raises(ConfigError):
        await reloading.apply()
    assert [] == taken
    assert ["config_rejected"] == [fault.code for fault in gateway.faults]


async def test_a_file_that_cannot_be_read_has_another_action_than_a_mistake(tmp_path):
    """`sudo gateway check` finds nothing wrong in it, so the fault says how it becomes readable, by its own name."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    usual = tmp_path / "the box.toml"
    reloading, gateway, taken = started_without_a_file(usual)
    reloading._path = usual  # as after a start with it
    usual.touch(mode=0o600)
    os.seteuid(1234)
    try:
        with pytest.raises(ConfigError):
            await reloading.apply()
    finally:
        os.seteuid(0)
    assert [] == taken
    (fault,) = gateway.faults
    assert "config_rejected" == fault.code
    assert f"sudo chgrp gateway '{usual}'; sudo chmod 640 '{usual}'; sudo gateway reload" in fault.action
