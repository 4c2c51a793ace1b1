"""What it costs to be watched: ``python bench/scrape.py [PAGES]``, with a store of 500 devices and 20,000 events.

A page is otherwise made at most once a second; here each is made anew. CPU is that of the whole process, less what it
takes idle in as long a time; the time is what who asks waits.
"""

import asyncio
import http.client
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fill import event_from, later
from measure import cpu_s

from gateway.outbox import Drafting, Outbox, Settings
from gateway.simulate.ports import free_port

_DEVICES, _EVENTS = 500, 20_000
_PROGRAM = (
    "from gateway.daemon import monitoring as m; m._FRESH_S = 0; from gateway.__main__ import main; main()"
)
_CONFIG = """\
[clock]
trust = "plausible"
[listen]
host = "127.0.0.1"
port = {port}
[store]
path = "{home}/store"
min_free_bytes = 0
ballast_bytes = 0
[runtime]
socket = "{home}/control.sock"
[monitoring]
enabled = true
port = {watched}
[sinks.away]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:9"
[sinks.gone]
type = "https"
endpoint = "http://127.0.0.1:9/"
insecure_http = true
"""


async def fill(store: Path) -> None:
    outbox = await Outbox.open(Settings(directory=store, drafting=Drafting(), min_free_bytes=0))
    writing = asyncio.create_task(outbox.run())
    first = [event_from("W1", device) for device in range(_DEVICES)]
    begin = datetime.now(UTC) - timedelta(hours=1)
    for turn in range(_EVENTS // _DEVICES):
        await outbox.append([later(event, turn) for event in first], begin + timedelta(seconds=turn), "/push")
    await outbox.close()
    await writing
    outbox.release()


def page(port: int) -> tuple[float, int]:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    body = connection.getresponse().read()
    connection.close()
    return time.perf_counter() - began, len(body)


def main() -> None:
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as folder:
        home, port, watched = Path(folder), free_port(), free_port()
        asyncio.run(fill(home / "store"))
        config = home / "config.toml"
        config.write_text(_CONFIG.format(home=home, port=port, watched=watched))
        words = [sys.executable, "-c", _PROGRAM, "-c", str(config), "run"]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                words, stdout=log, stderr=log, env={**os.environ, "STATE_DIRECTORY": folder}
            )
        try:
            while b"monitoring_ready" not in (home / "log").read_bytes():
                assert process.poll() is None, (home / "log").read_text()
                time.sleep(0.1)
            time.sleep(10)
            page(watched)
            before, began = cpu_s(process.pid), time.monotonic()
            told = [page(watched) for _ in range(pages)]
            busy, seconds = cpu_s(process.pid) - before, time.monotonic() - began
            before = cpu_s(process.pid)
            time.sleep(seconds)
            idle = cpu_s(process.pid) - before
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
    print(f"{pages} pages of {told[0][1]:,} bytes, {_DEVICES} devices, two sinks, {_EVENTS:,} events waiting")
    waited_ms = statistics.median(wait_s for wait_s, _ in told) * 1000
    print(f"{pages} pages of {told[0][1]:,} bytes; {_DEVICES} devices, two sinks, {_EVENTS:,} events waiting")
    print(f"a page: {(busy - idle) / pages * 1000:.1f} ms of CPU, {waited_ms:.1f} ms to wait")
    print(f"idle: {idle / seconds * 100:.2f} % of a processor")


if __name__ == "__main__":
    main()
