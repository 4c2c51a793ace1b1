"""The port for callbacks of the running daemon: who may call, what is kept of it, and what a person is told."""

import http.client
import json
import socket

import pytest
from callback_site import COUNT, INCIDENT, NEWER, SECRET, Called, body_of, taken_port

RIGHT = (("Authorization", SECRET),)
EVENTS = "SELECT count(*) FROM events"


@pytest.fixture
def site(tmp_path):
    called = Called(tmp_path)
    yield called.start()
    called.close()


def test_only_the_right_header_gets_in(site):
    """Without it, with a wrong one, with a part of it or with two of them it is 401 and nothing is kept; then 200."""
    wrong = (
        (),
        (("Authorization", "token of somebody else"),),
        (("Authorization", SECRET[:-1]),),
        (("Authorization", SECRET.upper()),),
        (("Authorization", ""),),
        (("Authorisation", SECRET),),
        (("Authorization", SECRET), ("Authorization", SECRET)),
        (("Authorization", SECRET), ("Authorization", "another")),
    )
    for headers in wrong:
        assert 401 == site.call(headers=headers)[0], headers
        assert 401 == site.call(b"no JSON at all", headers=headers, method="PUT")[0], headers
        assert 401 == site.call(b"", headers=headers, method="GET")[0], headers
    assert [(0,)] == site.rows(EVENTS)
    assert [(0,)] == site.rows("SELECT count(*) FROM letters")
    told = site.status()["callbacks"]
    assert (3 * len(wrong), 0, 0) == (told["unauthorised"], told["posts"], told["letters"])
    assert (200, b'{"ok":true}\n') == site.call()
    assert [(1,)] == site.rows(EVENTS)


def test_a_stranger_is_shown_with_what_to_do(site):
    """One fault says who called, through whom, what was wrong and what to type; what the stranger wrote does not act."""
    site.call(headers=(("X-Forwarded-For", "<b>evil</b>, 198.51.100.7"),))
    fault = site.faults()["callback_unauthorised"]
    assert "127.0.0.1 (forwarded for 198.51.100.7)" in fault["sentence"]
    assert "it has no header Authorization" in fault["sentence"]
    assert "secret_file" in fault["action"]
    site.call(headers=(("X-Forwarded-For", "198.51.100.7, \x1b[31mx"), ("Authorization", "nonsense")))
    fault = site.faults()["callback_unauthorised"]
    assert fault["sentence"].startswith("A callback from 127.0.0.1 was refused: its header Authorization")
    assert 2 == fault["count"]
    assert "nonsense" not in site.daemon.log.read_text()


def test_a_refused_body_is_not_even_waited_for(site):
    """The answer to a wrong header comes before the body: nothing of it is read."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as wire:
        wire.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert wire.recv(12) == b"HTTP/1.1 401"


def test_any_path_by_post_and_put(site):
    """Whatever was typed behind the address, a callback is taken; another method is told what to do, and shown."""
    for path in ("/", "/a//b?x=1", "/gateway-alive", "/UTCTime"):
        for method in ("POST", "PUT"):
            assert 200 == site.call(method=method, path=path)[0]
        for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
            assert 405 == site.call(b"", method=method, path=path)[0]
    assert [(1,)] == site.rows(EVENTS)
    told = site.status()["callbacks"]
    assert (8, 7, 1) == (told["posts"], told["duplicates"], told["events"])
    assert {"GET", "HEAD", "DELETE", "OPTIONS"} == {visit["method"] for visit in told["visitors"]}


def test_no_port_takes_what_belongs_to_the_other(site):
    """A device's push on the callbacks port, and a callback on the device port, are letters and no events."""
    assert 200 == site.call(COUNT)[0]
    assert 200 == site.call(INCIDENT, lan=True)[0]
    assert [(0,)] == site.rows(EVENTS)
    heads = [json.loads(head)["port"] for (head,) in site.rows("SELECT head FROM letters ORDER BY number")]
    assert ["callbacks", "devices"] == heads
    for number in ("1", "2"):
        retried = site.daemon.asked("letters", "retry", number)
        assert 0 != retried.returncode, "a letter was read by the wrong port"
    assert 200 == site.call(COUNT, lan=True)[0]
    assert 200 == site.call(INCIDENT)[0]
    assert site.rows("SELECT DISTINCT kind FROM events ORDER BY kind") == [("alarm",), ("count",)]


def test_what_cannot_be_read_is_kept_and_taken(site):
    """An authorised callback that is unreadable or empty is a letter, answered with 2xx; a person sees why."""
    for body in (b"", b"\x00\x01", b'{"type": "incident.created", "data": {"object": ', b"[]"):
        assert 200 == site.call(body)[0]
    assert [(4,)] == site.rows("SELECT count(*) FROM letters")
    assert "could not be read" in site.faults()["unreadable_pushes"]["sentence"]
    assert 4 == site.status()["callbacks"]["letters"]


def test_what_cannot_be_stored_is_refused(tmp_path):
    """While the store takes nothing the answer is 503, and no callback is lost that was answered with 200."""
    site = Called(tmp_path, store='min_free_bytes = "1000 GB"')
    try:
        site.start()
        assert 503 == site.call()[0]
        assert 503 == site.call(b"unreadable")[0]
        assert 401 == site.call(headers=())[0]
        assert [(0,)] == site.rows(EVENTS)
        assert 2 == site.status()["callbacks"]["refused"]
    finally:
        site.close()


def test_a_new_secret_drops_no_connection(site):
    """A reload changes the secret on an open connection: both during the change, then only the new one."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)

    def ask(secret: str) -> int:
        connection.request("POST", "/", INCIDENT, {"Authorization": secret})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    assert 200 == ask(SECRET)
    wire = connection.sock
    site.configure("header-new", "header-old")
    site.reload()
    assert (200, 200) == (ask(NEWER), ask(SECRET))
    site.configure("header-new")
    site.reload()
    assert 200 == ask(NEWER)
    assert connection.sock is wire, "the connection was closed by the reload"
    assert 401 == ask(SECRET)
    connection.close()
    assert "config_restart" not in site.faults()


def test_the_port_is_moved_and_closed_by_a_reload(site):
    """Another port, and none at all, need no restart; devices can push all the time."""
    old, new = site.port, taken_port()
    number = new.getsockname()[1]
    new.close()
    site.configure(port=number)
    site.reload()
    site.until(lambda: (site.status()["callbacks"] or {}).get("listen") == f"127.0.0.1:{number}", "not moved")
    assert 200 == site.call()[0]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", old), timeout=1)
    site.configure(enabled=False)
    site.reload()
    assert site.status()["callbacks"] is None
    with pytest.raises(OSError, match="refused"):
        site.call()
    assert 200 == site.call(COUNT, lan=True)[0]


def test_a_taken_port_stops_nothing_else(tmp_path):
    """When the port is taken devices are received all the same, a fault says so, and it opens when it is free."""
    with taken_port() as other:
        site = Called(tmp_path)
        site.configure(port=other.getsockname()[1])
        site.daemon.start()
        try:
            assert 200 == site.call(COUNT, lan=True)[0]
            site.until(lambda: "callbacks_closed" in site.faults(), "no fault")
            assert "another program already listens there" in site.faults()["callbacks_closed"]["sentence"]
            other.close()
            site.until(lambda: site.status()["callbacks"]["listen"], "it does not open", wait_s=25)
            assert 200 == site.call()[0]
            assert "callbacks_closed" not in site.faults()
        finally:
            site.close()


def test_the_secret_is_nowhere(site):
    """Not in store, letters, log, tail or status, even where a callback about a hook quotes it."""
    hook = body_of("camio", "hook_created").replace(b"token hunter2hunter2hunter2", SECRET.encode())
    assert SECRET.encode() in hook
    assert 200 == site.call(hook, path=f"/x/{SECRET.split()[1]}")[0]
    assert 200 == site.call(b"broken " + SECRET.encode() + b' {"Authorization": "' + SECRET.encode())[0]
    site.call(headers=(("Authorization", SECRET + "x"),))
    told = site.daemon.asked("status", "--json").stdout + site.daemon.asked("letters", "show", "1").stdout
    site.daemon.stop()
    word = SECRET.split()[1]
    assert word not in told
    assert word.encode() not in site.everything_written()


def test_the_page_of_status_has_a_line_for_it(site):
    """`gateway status` says where callbacks are received, how many came, and how many had no right header."""
    site.call()
    site.call(headers=())
    shown = site.daemon.asked("status").stdout
    assert f"callbacks on 127.0.0.1:{site.port}: since the start 1, 1 events" in shown
    assert "1 without the right header" in shown


def test_an_incident_stands_through_a_restart(site):
    """The fault is there with Camio's own sentence, after a kill too, and goes with a good value."""
    assert 200 == site.call(body_of("camio", "incident_several_counters"))[0]
    site.until(lambda: "camio_incident" in site.faults(), "no fault")
    before = {fault["subject"]: fault["sentence"] for fault in site.status()["faults"]}
    subject = "camio-pier-north-34aec4c6:stream_changed_offline_count"
    assert "camera Pier north at 2026-11-21T11:47:31Z: 3 > 0 means something" in before[subject]
    site.daemon.kill()
    site.start()
    site.until(lambda: "camio_incident" in site.faults(), "the fault did not survive")
    assert before == {fault["subject"]: fault["sentence"] for fault in site.status()["faults"]}
    later = body_of("camio", "incident_back_to_normal").replace(b"11:47:31.204", b"11:49:00.000")
    assert 200 == site.call(later)[0]
    site.until(
        lambda: subject not in {fault["subject"] for fault in site.status()["faults"]}, "it did not clear"
    )
    left = [fault["subject"] for fault in site.status()["faults"] if fault["code"] == "camio_incident"]
    assert ["camio-pier-north-34aec4c6:movies_discarded_count"] == left
