"""A configuration with far ends, looked at as `gateway doctor` does."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import anyio

from gateway.config import load
from gateway.doctor import far_ends, far_mqtt, walking, way
from gateway.doctor.box import Box
from gateway.doctor.finding import Finding

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def secret(folder: Path, name: str, text: str) -> Path:
    """Write a file that only its owner may read."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return path


# What a loaded machine may take for a step that succeeds; what hangs is tried with the real limits.
PATIENT = (
    (way, "TOTAL_S"),
    (far_mqtt, "_PATIENCE_S"),
    (walking, "NAME_S"),
    (walking, "TCP_S"),
    (walking, "TLS_S"),
)


def look(folder: Path, toml: str, *, box_root: Path | None = None, hurried: bool = False) -> list[Finding]:
    """Give what all checks of the far ends find, one check after the other; it blocks."""
    path = folder / "site.toml"
    path.write_text(f'[gateway]\nid = "gw7"\n[store]\npath = "{folder / "store"}"\n{toml}')
    config = load(path)
    box = Box(config, path, root=box_root or Path("/"))
    with ExitStack() as limits:
        for module, name in () if hurried else PATIENT:
            limits.enter_context(patch.object(module, name, 30.0))
        return [finding for check in far_ends.checks(config) for finding in check.look(box)]


async def looked(folder: Path, toml: str, *, hurried: bool = False) -> list[Finding]:
    """Do the same in a thread, beside far ends that live on this loop."""
    return await anyio.to_thread.run_sync(lambda: look(folder, toml, hurried=hurried))


def codes(findings: list[Finding]) -> set[str]:
    """Name what is wrong."""
    return {finding.code for finding in findings if finding.code}


def told(findings: list[Finding], code: str) -> str:
    """Give the sentence of the one finding with this code."""
    (found,) = (finding for finding in findings if finding.code == code)
    return found.sentence


def broker(port: int, more: str = "", scheme: str = "mqtt") -> str:
    return f'[sinks.broker]\ntype = "mqtt"\nendpoint = "{scheme}://127.0.0.1:{port}"\n{more}\n'


def upstream(url: str, more: str = "") -> str:
    return f'[sinks.upstream]\ntype = "https"\nendpoint = "{url}"\n{more}\n'


@contextmanager
def beside(work) -> Iterator[threading.Thread]:
    """Run something in a thread while the block lasts."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield thread
