"""The lines that come out: one stream, no secret, no forged line, no flood, no local variables."""

import json
import logging
import os
import subprocess
import sys
import time
import warnings

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway import logs
from gateway.logs.cleaning import clean_text, clean_traceback, cleaned
from gateway.logs.repeats import RepeatFilter

SECRET = "hunter2-Tr0ub4dor"


@pytest.fixture(autouse=True)
def _logging_as_before():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def lines(capsys):
    """Give the lines that were written since the last call."""

    def written() -> list[str]:
        return capsys.readouterr().out.splitlines()

    return written


def objects(lines) -> list[dict]:
    return [json.loads(line) for line in lines()]


def test_the_journal_gets_priorities_and_logfmt(lines):
    """Each level has the priority of syslog, and there is no time, because the journal knows it."""
    logs.setup("journal", "debug")
    log = structlog.get_logger()
    log.debug("probe_sent", n=1)
    log.info("push_stored", device="counter-1", events=2, late=False, site=None)
    log.warning("sink_unavailable", sink="upstream", reason="no route")
    log.error("event_rejected", reason='says "no"')
    log.critical("store_lost")
    expected = [
        "<7>event=probe_sent n=1",
        "<6>event=push_stored device=counter-1 events=2 late=false site=",
        '<4>event=sink_unavailable sink=upstream reason="no route"',
        '<3>event=event_rejected reason="says \\"no\\""',
        "<2>event=store_lost",
    ]
    assert expected == lines()


def test_json_is_one_object_on_each_line(lines):
    """Each line parses, with an UTC stamp, level and event; other scripts stay readable."""
    logs.setup("json", "info")
    structlog.get_logger().info("push_stored", site="码头", when=1.5, names=["a"], nested={"b": 1})
    text = lines()
    assert "码头" in text[0]
    line = json.loads(text[0])
    assert ("push_stored", "info", 1.5, ["a"], {"b": 1}) == tuple(
        line[k] for k in ("event", "level", "when", "names", "nested")
    )
    assert line["timestamp"].endswith("Z")


def test_the_console_is_for_people(lines):
    """The console format has no colours where nobody sees them."""
    logs.setup("console", "info")
    structlog.get_logger().info("push_stored", device="counter-1")
    (line,) = lines()
    assert "push_stored" in line and "device=counter-1" in line and "\x1b" not in line


@pytest.mark.parametrize("fmt", ["journal", "json", "console"])
def test_libraries_write_into_the_same_stream_once(lines, fmt):
    """The lines of the HTTP server and the MQTT client appear once, in our format, with their origin."""
    logs.setup(fmt, "debug")
    from hypercorn import Config
    from hypercorn.logging import Logger

    config = Config()
    config.errorlog = logging.getLogger("hypercorn.error")
    Logger(config).error_logger.info("Running on %s", "http://[::]:8088")
    paho = pytest.importorskip("paho.mqtt.client")
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.enable_logger(logging.getLogger("paho"))
    client._easy_log(paho.MQTT_LOG_WARNING, "Sending %s", "CONNECT")
    text = lines()
    assert len(text) == 2
    assert "Running on http://[::]:8088" in text[0] and "hypercorn.error" in text[0]
    assert "Sending CONNECT" in text[1] and "paho" in text[1]


def test_setting_up_again_changes_the_format_and_doubles_nothing(lines):
    """A reload with another format or level takes effect for loggers that exist, and each line comes once."""
    log = structlog.get_logger("reload")
    logs.setup("journal", "info")
    log.info("one")
    log.debug("hidden")
    logs.setup("json", "debug")
    log.debug("two")
    text = lines()
    assert text[0] == "<6>event=one"
    assert ["two"] == [json.loads(line)["event"] for line in text[1:]]


def test_warnings_of_python_are_lines_too(lines):
    """A deprecation does not appear as two lines on another stream."""
    logs.setup("json", "info")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old\nway", DeprecationWarning, stacklevel=1)
    (line,) = objects(lines)
    assert ("warning", "py.warnings") == (line["level"], line["logger"])


def test_requests_of_the_http_client_are_not_written(lines):
    """Even at debug the HTTP client stays silent, because it would write every header."""
    logs.setup("json", "debug")
    for name in ("httpx2", "httpcore2.http11"):
        logging.getLogger(name).info(
            "send_request_headers.started %r", [(b"Authorization", b"Bearer " + SECRET.encode())]
        )
    assert [] == lines()


SECRETS = [
    ({"password": SECRET}, ""),
    ({"wifi_password": SECRET}, ""),
    ({"WifiPassword": SECRET}, ""),
    ({"Authorization": f"Basic {SECRET}"}, ""),
    ({"api_key": SECRET, "apiKey": SECRET, "X-Api-Key": SECRET}, ""),
    ({"pin": SECRET}, ""),
    ({"cookie": SECRET, "client_secret": SECRET, "access_token": SECRET}, ""),
    ({"headers": {"authorization": SECRET, "x": [{"token": SECRET}]}}, ""),
    ({"endpoint": f"mqtt://user:{SECRET}@host"}, ""),
    ({"reason": f"connect to https://{SECRET}@h/ failed"}, ""),
    ({"reason": f"GET https://h/feed?k={SECRET}&a=1 failed"}, ""),
    ({"reason": f"C:\\Users\\{SECRET}\\x is gone"}, ""),
    ({"reason": f'{{"password": "{SECRET}", "n": 1}}'}, ""),
    ({"reason": f"{{'wifiPassword': '{SECRET} {SECRET}'}}"}, ""),
    ({"reason": f"<WifiPassword>{SECRET}</WifiPassword>"}, ""),
    ({"reason": f"password={SECRET}&n=1"}, ""),
    ({"reason": f"Authorization: Bearer {SECRET}"}, ""),
    ({"reason": f"the key is whsec_{SECRET}"}, ""),
    ({"reason": f'{{\\"pin\\": \\"{SECRET}\\"}}'}, ""),
    ({"body": f"secret {SECRET}".encode()}, ""),
    ({"error": ValueError(f"token={SECRET}")}, ""),
    ({}, f"connect password={SECRET}"),
]


@pytest.mark.parametrize("fmt", ["journal", "json", "console"])
@pytest.mark.parametrize(("fields", "event"), SECRETS)
def test_no_secret_is_written(lines, fmt, fields, event):
    """By its name or by its form, in a field, in a text, nested or escaped, no secret reaches the stream."""
    logs.setup(fmt, "info")
    structlog.get_logger().info(event or "probe_sent", **fields)
    logging.getLogger("paho").warning(
        "%s", event or {key: value for key, value in fields.items() if key != "body"}
    )
    text = "\n".join(lines())
    assert SECRET not in text
    assert text


@pytest.mark.parametrize("fmt", ["journal", "json", "console"])
def test_a_traceback_shows_no_local_variables_and_no_secret(lines, fmt):
    """The traceback is there with its line, without the values of variables, and without the secret in its text."""
    logs.setup(fmt, "info")

    def send(local):
        raise RuntimeError(f"password={SECRET} refused\n<0>event=forged")

    try:
        send(SECRET.upper())
    except RuntimeError:
        structlog.get_logger().exception("part_died", part="sink")
        logging.getLogger("hypercorn.error").exception("an error")
    text = lines()
    assert SECRET not in "\n".join(text)
    assert SECRET.upper() not in "\n".join(text)
    assert 2 == sum("part_died" in line or "an error" in line for line in text)
    assert "RuntimeError: password=*** refused" in "\n".join(text)
    if fmt != "console":
        assert len(text) == 2
    assert not [line for line in text if line.startswith("<0>")]


FORGED = 'a\r\n<0>event=forged\n\x1b[2J\u2028\u202eb\x9b31m\x00\ud800"\\'


@pytest.mark.parametrize("fmt", ["journal", "json", "console"])
def test_a_hostile_text_cannot_forge_a_line_or_steer_a_terminal(lines, fmt):
    """Line breaks, control characters and marks of direction come out as escapes, in values and in events."""
    logging.getLogger().handlers.clear()  # the test runner's own would pass half a surrogate on, and choke
    logs.setup(fmt, "info")
    structlog.get_logger().info("push_unreadable", path=FORGED, nested={FORGED: [FORGED]})
    logging.getLogger("paho").warning("odd %s", FORGED)
    text = lines()
    assert len(text) == 2
    for line in text:
        assert not set(line) & set("\r\x1b\u2028\u202e\x9b\x00\ud800")
        line.encode()
    if fmt == "json":
        assert (
            json.loads(text[0])["path"]
            == 'a\\r\\n<0>event=forged\\n\\x1b[2J\\u2028\\u202eb\\x9b31m\\x00\\ud800"\\'
        )


@given(
    st.dictionaries(
        st.text(max_size=8), st.one_of(st.text(), st.binary(), st.floats(), st.none(), st.integers())
    )
)
def test_any_fields_can_be_written(fields):
    """No field makes a line fail: the result is always a single line that encodes."""
    made = cleaned(fields)
    json.dumps(made).encode()
    for key, value in made.items():
        assert key.isprintable() and " " not in key
        assert not isinstance(value, str) or "\n" not in value


def test_long_values_are_cut_and_pictures_are_counted():
    """A text is cut with its length said; what looks like a picture is only counted."""
    assert clean_text("a b " * 1000) == "a b " * 250 + "…<4000 chars>"
    assert clean_text("x " + "A1b/" * 2500) == "x <10000 chars>"
    picture = clean_text('{"rgb_image":"' + "A1b/" * 100_000 + '"}')
    assert len(picture) < 100
    assert "<400016 chars>" in picture
    made = cleaned({"list": list(range(1000)), "deep": [[[[[["x"]]]]]]})
    assert len(made["list"]) == 20
    assert "x" in str(made["deep"])


def test_a_long_traceback_keeps_its_ends():
    """The beginning and the error itself are kept; every line is indented."""
    text = clean_traceback("Traceback\n" + "  frame of the middle\n" * 5000 + "ValueError: the end")
    assert text.startswith("    Traceback") and text.endswith("ValueError: the end")
    assert len(text) < 13_000
    assert not [line for line in text.split("\n") if not line.startswith("    ")]


def test_cleaning_a_hostile_text_takes_no_time():
    """No pattern runs away: a hundred thousand characters made against it are looked at in one pass."""
    for part in ("passw-", "<passw", "a", '"', "://", "bearer ", "=A", "pin:'", "<", "whsec_", "-", "\\"):
        text = part * (100_000 // len(part))
        began = time.process_time()
        clean_text(text)
        clean_traceback(text)
        assert time.process_time() - began < 2, part  # quadratic would be minutes


def test_names_that_only_resemble_a_secret_are_written():
    """Counts and ids keep their values although their names hold letters of secret words."""
    fields = {
        "passings": 3,
        "mapping": "x",
        "bypass": 1,
        "pinned": 2,
        "author": "a",
        "keys": 4,
        "token": None,
    }
    assert fields == cleaned(fields)


class Line:
    """Feeds the filter with records and notes what passes."""

    def __init__(self):
        self.now = 0.0
        self.filter = RepeatFilter(per_subject=3, per_event=10, window_s=10, clock=lambda: self.now)

    def passes(self, fields, level=logging.INFO) -> tuple[bool, int]:
        record = logging.LogRecord("gateway.x", level, "f", 1, fields, (), None)
        return self.filter.filter(record), getattr(record, "suppressed", 0)


def test_repeats_are_left_out_and_counted():
    """The first lines of a kind pass, the rest of the window does not, and the next one says how many were missed."""
    line = Line()
    fields = {"event": "push_unreadable", "device": "d"}
    assert [True] * 3 + [False] * 4 == [line.passes(fields)[0] for _ in range(7)]
    line.now = 10.0
    assert (True, 4) == line.passes(fields)
    assert (True, 0) == line.passes(fields)


def test_devices_and_events_are_counted_apart():
    """One noisy device does not silence another, nor another event of itself."""
    line = Line()
    for _ in range(5):
        line.passes({"event": "a", "device": "d"})
    assert (True, 0) == line.passes({"event": "a", "device": "e"})
    assert (True, 0) == line.passes({"event": "b", "device": "d"})
    assert (True, 0) == line.passes({"event": "a", "sink": "d2"})


def test_many_senders_together_are_bounded():
    """A sender that gives itself a new name with every push does not fill the journal either."""
    line = Line()
    passed = [line.passes({"event": "a", "device": f"d{number}"})[0] for number in range(50)]
    assert 10 == sum(passed)


def test_errors_always_pass():
    """What a person must see is never left out."""
    line = Line()
    assert [(True, 0)] * 20 == [line.passes({"event": "a"}, logging.ERROR) for _ in range(20)]


def test_foreign_lines_repeat_by_their_text():
    """Lines of libraries are the same when their text before the figures is."""
    line = Line()
    assert [True, True, True, False] == [line.passes("lost %s")[0] for _ in range(4)]
    assert line.passes("found %s")[0]


def test_the_memory_of_the_filter_is_bounded():
    """Endless new names do not make the table grow."""
    line = Line()
    for number in range(5000):
        line.now += 20
        line.passes({"event": f"e{number}", "device": f"d{number}"})
    assert len(line.filter._windows) <= 2000


def test_suppressed_is_written_with_the_next_line(lines, monkeypatch):
    """The number of lines left out is a field of the next line."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(logs, "RepeatFilter", lambda: RepeatFilter(clock=lambda: now[0]))
    logs.setup("json", "info")
    log = structlog.get_logger()
    for _ in range(9):
        log.info("push_unreadable", device="d")
    now[0] = 11
    log.info("push_unreadable", device="d")
    written = objects(lines)
    assert [None] * 5 + [4] == [line.get("suppressed") for line in written]


_CHILD = """
import structlog
from gateway import logs
logs.setup("auto", "info")
structlog.get_logger().info("started", name="Lobby S\\u00fcd")
"""


@pytest.mark.parametrize("journal", [True, False])
def test_the_journal_is_recognised_by_its_stream(tmp_path, journal):
    """Automatic means the journal only when standard output is the stream that systemd named."""
    out = tmp_path / "out"
    with out.open("w") as stream:
        state = os.fstat(stream.fileno())
        named = f"{state.st_dev}:{state.st_ino}" if journal else f"{state.st_dev}:1"
        env = {**os.environ, "JOURNAL_STREAM": named, "LC_ALL": "C.UTF-8"}
        subprocess.run([sys.executable, "-c", _CHILD], stdout=stream, env=env, check=True)
    text = out.read_text("utf-8")
    assert journal == text.startswith("<6>event=started")
    assert "Lobby Süd" in text


def test_a_stream_without_umlauts_loses_no_line():
    """Where standard output knows ASCII only, other letters come out as escapes instead of an error."""
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, env=env, check=True, text=True)
    assert "Lobby S\\xfcd" in done.stdout
    assert done.stderr == ""
