"""`gateway demo` as a person runs it: it ends by itself or by a signal, tells the truth, and leaves nothing behind."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(150)

ENDED = re.compile(
    r"^(broker|upstream) +(\d+)  = +(\d+) \+ +(\d+) \+ +(\d+) \+ +(\d+) \+ +(\d+)$", re.MULTILINE
)


class Demo:
    """One demo as a process; everything it makes lies below one directory, its temporary files too."""

    def __init__(self, directory: Path, *words: str) -> None:
        self.directory = directory
        (directory / "tmp").mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "demo", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(directory / "tmp"), "PYTHONUNBUFFERED": "1"},
        )

    def until(self, words: str) -> str:
        """Read lines until one holds these words."""
        for line in self.process.stdout:
            if words in line:
                return line
        raise AssertionError(f"it ended before it said {words!r}: {self.process.stderr.read()}")

    def end(self, how: signal.Signals | None = None) -> tuple[int, str, str]:
        if how is not None:
            self.process.send_signal(how)
        out, err = self.process.communicate(timeout=90)
        return self.process.returncode, out, err

    def children(self) -> list[str]:
        """Give the command lines of all processes that work below our directory."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.directory) in words and int(path.parent.name) != self.process.pid:
                found.append(words)
        return found

    def leftovers(self) -> list[Path]:
        return list((self.directory / "tmp").iterdir())


@pytest.fixture
def demo(tmp_path):
    started = []

    # A path so short that the control socket is below it too: who is killed cannot tidy up elsewhere.
    short = tempfile.TemporaryDirectory(prefix="gwt-", dir="/tmp")

    def start(*words, directory=None):
        own = Path(short.name) if directory == "short" else tmp_path / f"demo{len(started)}"
        own.mkdir(exist_ok=True)
        started.append(Demo(own, *words))
        return started[-1]

    with short:
        yield start
        for one in started:
            if one.process.poll() is None:
                one.process.kill()
                one.process.communicate()


def balanced(out: str) -> list[int]:
    """Check the two lines of the account; give what was received by each."""
    lines = ENDED.findall(out)
    assert ["broker", "upstream"] == [line[0] for line in lines], out
    for _, received, *parts in lines:
        assert int(received) == sum(map(int, parts)), out
    return [int(line[1]) for line in lines]


@pytest.mark.slow
def test_it_ends_by_itself_with_both_brokers(demo):
    """With mosquitto and with iotcore, a short demo with both outages exits 0, balanced, and leaves nothing."""
    both = [
        demo("--minutes", "0.2", "--plain", "--speed", "4", "--broker", name)
        for name in ("mosquitto", "iotcore")
    ]
    for one in both:
        status, out, err = one.end()
        assert 0 == status, out + err
        assert "" == err
        assert all(received > 300 for received in balanced(out))
        assert "stopped on purpose" in out
        assert "503 on purpose" in out
        assert "It balances." in out
        assert [] == one.children()
        assert [] == one.leftovers()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_in_the_middle_ends_it_in_order(demo, how):
    """Ctrl-C and SIGTERM give the account and status 0, and what others pushed meanwhile is no fault."""
    one = demo("--plain", "--calm")
    url = one.until("takes pushes at").split(" at ")[1].split()[0].rstrip(".")
    sample = one.until("curl").split("@")[1].split()[0]
    urllib.request.urlopen(url, Path(sample).read_bytes(), timeout=10).close()
    urllib.request.urlopen(url, b"no device would say this", timeout=10).close()
    time.sleep(1)
    assert one.children()
    status, out, err = one.end(how)
    assert 0 == status, out + err
    assert all(received > 0 for received in balanced(out))
    by_others = [line.split()[-1] for line in out.splitlines() if line.startswith(("MQTT sub", "HTTPS rec"))]
    assert ["1", "1"] == by_others
    assert "on purpose" not in out
    assert [] == one.children()
    assert [] == one.leftovers()


def test_a_signal_during_an_outage_first_ends_the_outage(demo):
    """Ctrl-C while the broker is away brings it back, so that everything arrives and the status is 0."""
    one = demo("--plain", "--minutes", "0.25")
    one.until("stopped on purpose")
    status, out, err = one.end(signal.SIGINT)
    assert 0 == status, out + err
    assert "runs again" in out
    balanced(out)


def test_killed_it_takes_its_children_with_it(demo):
    """A demo that is killed with SIGKILL leaves no gateway and no broker running."""
    one = demo("--plain", "--calm", directory="short")
    one.until("events; broker")
    assert len(one.children()) >= 2
    one.end(signal.SIGKILL)
    last = time.monotonic() + 20
    while one.children() and time.monotonic() < last:
        time.sleep(0.1)
    assert [] == one.children()


def test_a_gateway_that_dies_is_told_and_the_status_is_1(demo, tmp_path):
    """When the gateway is killed the demo ends at once, says so, and exits 1; its directory stays when named."""
    kept = tmp_path / "kept"
    one = demo("--plain", "--calm", "--json", "--directory", str(kept), "--minutes", "1")
    last = time.monotonic() + 30
    while not (kept / "gateway.log").exists() or "gateway_ready" not in (kept / "gateway.log").read_text():
        assert time.monotonic() < last
        time.sleep(0.1)
    time.sleep(1)
    ours = f"{sys.executable} -m gateway -c {kept}/config.toml run "
    (victim,) = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.read_bytes().replace(b"\0", b" ").decode(errors="replace") == ours
    ]
    os.kill(victim, signal.SIGKILL)
    status, out, err = one.end()
    assert 1 == status, out + err
    account = json.loads(out)
    assert account["ok"] is False
    assert any("in the middle of the demo" in problem for problem in account["problems"])
    assert (kept / "store").is_dir()
    again, _, reason = demo("--directory", str(kept)).end()
    assert 2 == again
    assert "is not empty" in reason


def test_it_says_what_to_install(demo):
    """Without the demo's extra packages it exits 2 with one sentence that has the pip command in it."""
    hide = "import sys; sys.modules['trustme'] = None; from gateway.commands import main; main()"
    told = subprocess.run([sys.executable, "-c", hide, "demo"], capture_output=True, text=True, check=False)
    assert 2 == told.returncode
    assert "-m pip install 'site-gateway[demo]'" in told.stderr
    assert 1 == len(told.stderr.splitlines())


def test_on_a_terminal_it_draws_and_gives_the_screen_back(demo):
    """On a terminal a live view is drawn on the alternate screen, and after Ctrl-C the account is on the normal one."""
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:
        try:
            while chunk := os.read(ours, 65536):
                shown.extend(chunk)
        except OSError:
            pass  # the other end was closed

    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--calm"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
    ) as process:
        os.close(theirs)
        reading = threading.Thread(target=read)
        reading.start()
        last = time.monotonic() + 30
        while b"Staff entrance" not in shown and time.monotonic() < last:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(60), shown.decode(errors="replace")
    reading.join(10)
    os.close(ours)
    text = shown.decode()
    before, _, after = text.partition("\x1b[?1049l")
    assert "\x1b[?1049h" in before
    assert "Front door" in before
    assert "It balances." in after
    assert "\x1b[" not in after
