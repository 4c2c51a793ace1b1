"""The daemon's eye on where terminals push: what it reports, when it sets it again, and what it leaves alone."""

import contextlib
from datetime import timedelta
from functools import partial

import anyio
import pytest
from keeping import access, opened

from gateway import clock
from gateway.config import loads
from gateway.daemon.terminals import Terminals
from gateway.event import Device
from gateway.faults import Faults
from gateway.simulate.terminal import Terminal as SimulatedTerminal
from gateway.simulate.terminal_api import Manners, TerminalApi

pytestmark = pytest.mark.anyio
PORT = 8099
OURS = f"http://127.0.0.1:{PORT}/Record"
ELSEWHERE = "http://127.0.0.1:9/other"


class Watched:
    def __init__(self, outbox, api):
        self.outbox, self.api = outbox, api
        self.faults = Faults()
        self.terminals = Terminals(outbox, self.faults, lambda: PORT)

    def config(self, more=""):
        port = self.api.port
        return loads(f'[terminals.door]\nendpoint = "http://127.0.0.1:{port}"\ncheck_s = 60\n{more}')

    async def check(self, more=""):
        """Look once; give the faults."""
        await self.terminals.check("door", self.config(more).terminals["door"])
        return {fault.code: fault.sentence for fault in self.faults}

    @property
    def written(self):
        return [call.body["event_dest"] for call in self.api.calls if call.method == "POST"]


@pytest.fixture
async def watched(tmp_path):
    async with opened(tmp_path) as outbox:
        api = TerminalApi(partial(SimulatedTerminal, serial="SPS-T1"), Manners())
        await api.start()
        api.dest, api.enabled = OURS, True
        try:
            yield Watched(outbox, api)
        finally:
            await api.stop()


async def test_a_terminal_that_points_here_is_fine_and_nothing_is_written(watched):
    """A right setting, with any path, is no fault, and reapply alone is no reason to write."""
    assert {} == await watched.check("reapply = true")
    watched.api.dest = f"http://127.0.0.1:{PORT}/Reocrd"
    assert {} == await watched.check("reapply = true")
    assert [] == watched.written


async def test_a_terminal_that_points_elsewhere_is_shown_with_both_addresses(watched):
    """Without reapply it is shown and left alone; the fault goes when the terminal points here again."""
    watched.api.dest = ELSEWHERE
    sentence = (await watched.check())["terminal_points_elsewhere"]
    assert ELSEWHERE in sentence and OURS in sentence
    assert [] == watched.written
    watched.api.dest = OURS
    assert {} == await watched.check()
    watched.api.enabled = False
    assert "switched off" in (await watched.check())["terminal_points_elsewhere"]


async def test_with_reapply_it_is_set_again(watched):
    """A terminal that points elsewhere gets our address, once, and no fault stays."""
    watched.api.dest = ELSEWHERE
    assert {} == await watched.check("reapply = true")
    assert ([OURS], OURS) == (watched.written, watched.api.dest)
    assert {} == await watched.check("reapply = true")
    assert 1 == len(watched.written)


async def test_the_address_that_is_configured_is_the_one_that_counts(watched):
    """With event_dest a terminal that pushes to this box itself points elsewhere."""
    other = 'event_dest = "http://10.1.1.1:80/Record"\n'
    assert "10.1.1.1" in (await watched.check(other))["terminal_points_elsewhere"]
    assert {} == await watched.check(f"{other}reapply = true")
    assert ["http://10.1.1.1:80/Record"] == watched.written


async def test_an_empty_answer_is_no_fault_and_is_set_again_only_when_nothing_comes(watched):
    """A terminal that does not tell is written to only with reapply, and not while its pushes come, whatever the clock."""
    watched.api.manners.tells = False
    assert {} == await watched.check()
    assert [] == watched.written
    device = Device(id="terminal-sps-t1", source="face_terminal", address="127.0.0.1")
    await watched.outbox.append([access(1, device=device)], clock.now())
    assert {} == await watched.check("reapply = true")
    assert [] == watched.written
    with driven(wall=timedelta(days=30)):  # somebody set the clock
        assert {} == await watched.check("reapply = true")
    assert [] == watched.written
    with driven(passed=120.0):
        assert {} == await watched.check("reapply = true")
    assert [OURS] == watched.written


@pytest.mark.parametrize("pinned", ['address = "127.0.0.1"', ""])
async def test_a_terminal_that_is_pinned_to_a_word_is_set_to_a_url_with_it(watched, tmp_path, caplog, pinned):
    """By its address or by the book; without the word it points elsewhere, and no sentence and no log shows the word."""
    word = tmp_path / "word"
    word.write_text("CanaryWord0123456789")
    word.chmod(0o600)
    if not pinned:
        device = Device(id="terminal-sps-t1", source="face_terminal", address="127.0.0.1")
        await watched.outbox.append([access(1, device=device)], clock.now())
    section = f'[devices.door]\nid = "terminal-sps-t1"\npath_secret_file = "{word}"\n{pinned}\n'
    watched.terminals._config = watched.config(section)
    sentence = (await watched.check())["terminal_points_elsewhere"]
    assert "without the secret word" in sentence and "Canary" not in sentence
    assert {} == await watched.check("reapply = true")
    assert [f"http://127.0.0.1:{PORT}/k/CanaryWord0123456789/Record"] == watched.written
    assert {} == await watched.check("reapply = true")
    assert 1 == len(watched.written)
    assert "Canary" not in caplog.text


async def test_a_terminal_that_may_need_a_word_is_left_alone(watched, tmp_path):
    """Nothing has come from there, and one with a word may be it: it is said, and nothing is written."""
    word = tmp_path / "word"
    word.write_text("CanaryWord0123456789")
    word.chmod(0o600)
    watched.terminals._config = watched.config(
        f'[devices.door]\nid = "terminal-x"\npath_secret_file = "{word}"\n'
    )
    watched.api.dest = ELSEWHERE
    assert "may be terminal-x" in (await watched.check("reapply = true"))["terminal_points_elsewhere"]
    assert [] == watched.written


@contextlib.contextmanager
def driven(wall=timedelta(0), passed=0.0):
    class Driven(clock.SystemClock):
        def now(self):
            return super().now() + wall

        def steady(self):
            return super().steady() + passed

    before = clock.use(Driven())
    try:
        yield
    finally:
        clock.use(before)


async def test_a_terminal_that_is_away_or_refuses_is_told_apart(watched):
    """A closed port and a wanted login are two faults, each of which goes when it is over."""
    watched.api.manners.login = True
    assert ["terminal_refuses"] == list(await watched.check("reapply = true"))
    await watched.api.stop()
    assert ["terminal_unreachable"] == list(await watched.check())
    watched.api.manners.login = False
    await watched.api.start(watched.api.port)
    assert {} == await watched.check()
    assert [] == watched.written


async def test_a_sign_of_life_is_handed_on_where_it_is_asked_for(watched):
    """With ping a terminal that answers is heard, and no other one; without, or from old firmware, none is."""
    here = Device(id="terminal-sps-t1", source="face_terminal", address="127.0.0.1")
    other = Device(id="terminal-sps-t2", source="face_terminal", address="127.0.0.2")
    await watched.outbox.append([access(1, device=here)], clock.now())
    await watched.outbox.append([access(2, device=other)], clock.now())

    def heard():
        return {sign.device: sign.heard for sign in watched.outbox.signs.all()}

    before = heard()
    await watched.check()
    assert before == heard()
    await watched.check("ping = true")
    after = heard()
    assert after["terminal-sps-t1"] > before["terminal-sps-t1"]
    assert after["terminal-sps-t2"] == before["terminal-sps-t2"]
    watched.api.manners.pings = False
    assert {} == await watched.check("ping = true")
    assert after == heard()


async def test_the_timer_follows_the_configuration(watched):
    """A section with check_s is looked at by itself; one that goes takes its fault along, and 0 asks nothing."""
    watched.api.dest = ELSEWHERE
    async with anyio.create_task_group() as tasks:
        watched.terminals.put(tasks, watched.config("reapply = true"))
        with anyio.fail_after(10):
            while not watched.written:
                await anyio.sleep(0.01)
        watched.api.dest = ELSEWHERE
        watched.terminals.put(tasks, watched.config("reapply = false"))
        with anyio.fail_after(10):
            while not list(watched.faults):
                await anyio.sleep(0.01)
        watched.terminals.put(tasks, loads(""))
        assert [] == list(watched.faults)
        asked = len(watched.api.calls)
        port = watched.api.port
        watched.terminals.put(tasks, loads(f'[terminals.door]\nendpoint = "http://127.0.0.1:{port}"\n'))
        await anyio.sleep(0.1)
        assert asked == len(watched.api.calls)
        watched.terminals.end()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('endpoint = "192.168.1.50"', "http://192.168.1.50"),
        ('endpoint = "http://192.168.1.50/v1"', "adds the path itself"),
        ('endpoint = "http://admin:x@192.168.1.50"', "no user and no password"),
        ("check_s = 60", "endpoint"),
        ('endpoint = "http://h"\nevent_dest = "gateway/Record"', "http://192.168.1.10:8088/Record"),
    ],
)
def test_a_wrong_section_is_explained(text, said):
    """A mistake in a section of a terminal is named with what is allowed."""
    with pytest.raises(Exception, match=said.replace("/", ".")):
        loads(f"[terminals.door]\n{text}\n")
