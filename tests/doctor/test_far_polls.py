"""What the doctor says of a system that is polled: each step of the way, and one request that changes nothing."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from far_end_site import codes, look, secret

from gateway.doctor import far_polls
from gateway.simulate.ports import free_port

TRIED = {
    "poll_broken", "poll_busy", "poll_error", "poll_login", "poll_name", "poll_not_found", "poll_redirect",
    "poll_refused", "poll_timeout", "poll_tls", "poll_unreachable",
}  # fmt: skip


@contextmanager
def answering(status: int | None, headers: dict[str, str] | None = None) -> Iterator[tuple[int, list[str]]]:
    """A server that answers everything so; without a status it hangs up. Give its port and what was asked."""
    asked: list[str] = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if status is None:
                return
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_args) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()


def hall(port: int, more: str = "", scheme: str = "http") -> str:
    return f'[camlytics.hall]\nendpoint = "{scheme}://127.0.0.1:{port}"\n{more}\n'


def ours(findings):
    """Leave out what is said of sinks; there is none here."""
    return [finding for finding in findings if finding.subject.startswith("camlytics")]


def test_every_code_of_a_polled_system_is_tried_here():
    """The list of what can be found at a polled system is the list of what a test below brings about."""
    assert TRIED == far_polls.CODES


def test_camlytics_is_asked_for_its_newest_event(tmp_path):
    """The one request is the one with which a poll begins, it changes nothing there, and nothing is wrong."""
    with answering(200) as (port, asked):
        findings = ours(look(tmp_path, hall(port)))
    assert set() == codes(findings)
    assert ["/v1/json/events?order=DESC&limit=1"] == asked
    assert {"camlytics.hall"} == {finding.subject for finding in findings}


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (401, {}, "poll_login"),
        (404, {}, "poll_not_found"),
        (429, {}, "poll_busy"),
        (500, {}, "poll_error"),
        (302, {"location": "/login"}, "poll_redirect"),
        (None, {}, "poll_broken"),
    ],
)
def test_each_answer_has_the_code_of_the_poll(tmp_path, status, headers, code):
    """What Camlytics answers has the code that the poll itself would raise."""
    with answering(status, headers) as (port, _):
        assert {code} == codes(ours(look(tmp_path, hall(port))))


def test_nothing_listens(tmp_path):
    """A closed port is poll_refused."""
    assert {"poll_refused"} == codes(ours(look(tmp_path, hall(free_port()))))


def test_a_pc_that_hangs_costs_seconds(tmp_path):
    """A program that takes the connection and says nothing is poll_timeout within the limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        findings = look(tmp_path, hall(silent.getsockname()[1]), hurried=True)
        assert 20 > time.monotonic() - began
    assert {"poll_timeout"} == codes(ours(findings))


def test_a_name_that_nobody_knows(tmp_path, monkeypatch):
    """What the name server does not know is poll_name."""

    def unknown(*_args, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert {"poll_name"} == codes(ours(look(tmp_path, '[camlytics.hall]\nendpoint = "http://pc.invalid"\n')))


def test_a_network_without_a_way(tmp_path, monkeypatch):
    """An address that no route leads to is poll_unreachable."""

    def no_way(*_args, **_more):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", no_way)
    assert {"poll_unreachable"} == codes(ours(look(tmp_path, hall(80))))


def test_a_port_without_tls(tmp_path):
    """What speaks no TLS behind https:// is poll_tls."""
    with answering(200) as (port, _):
        assert {"poll_tls"} == codes(ours(look(tmp_path, hall(port, scheme="https"))))


def test_the_cloud_is_reached_and_its_keys_are_left_alone(tmp_path):
    """The cloud is asked for a page without keys, and it is said that the keys cannot be judged from here."""
    key, word = secret(tmp_path, "key", "public"), secret(tmp_path, "word", "private")
    with answering(403) as (port, asked):
        toml = f'[camlytics_cloud.shop]\nendpoint = "http://127.0.0.1:{port}"\ninsecure_http = true\n'
        findings = ours(look(tmp_path, f'{toml}key_file = "{key}"\nsecret_file = "{word}"\n'))
    assert set() == codes(findings)
    assert ["/"] == asked
    assert not findings[-1].known
    assert "camlytics_cloud.shop" == findings[-1].subject


@pytest.mark.parametrize(
    ("more", "word"), [("enabled = false", "switched off"), ('mode = "webhook"', "webhooks")]
)
def test_a_system_that_is_not_asked_says_why(tmp_path, more, word):
    """Nothing is asked of a system that is switched off, or that sends webhooks by itself."""
    with answering(200) as (port, asked):
        (finding,) = ours(look(tmp_path, hall(port, more + '\ntoken = "hall-pc"')))
    assert finding.well
    assert word in finding.sentence
    assert [] == asked
