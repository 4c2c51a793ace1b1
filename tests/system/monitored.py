"""What a program far away sees of a gateway: its figures, parsed, and its two answers."""

import http.client
import json
import re
from collections.abc import Mapping

_LINE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

Series = Mapping[tuple[str, frozenset], float]


def answer(port: int, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None):
    """Ask; give status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        got = connection.getresponse()
        return got.status, dict(got.getheaders()), got.read().decode()
    finally:
        connection.close()


def told(port: int, path: str) -> tuple[int, dict]:
    status, _, body = answer(port, path)
    return status, json.loads(body)


class Seen:
    """One page of figures."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.series: dict[tuple[str, frozenset], float] = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                name, labels, value = _LINE.fullmatch(line).groups()
                self.series[name, frozenset(_LABEL.findall(labels or ""))] = float(value)

    def __getitem__(self, name: str) -> float:
        return self.of(name)

    def of(self, name: str, **labels: str) -> float:
        return self.series[name, frozenset(labels.items())]

    def has(self, name: str, **labels: str) -> bool:
        """Say whether there is a series of this name with these labels, and maybe others."""
        return any(name == one and labels.items() <= dict(found).items() for one, found in self.series)


def figures(port: int) -> Seen:
    status, headers, body = answer(port, "/metrics")
    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (status, headers["Content-Type"])
    return Seen(body)
