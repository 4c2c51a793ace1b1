"""Who may import whom, and where each package lives, as a table that this test reads.

A red line here is a question, not a nuisance: does the import belong there, or does the table need a new
row? Both are decided by a person, and the table is the place where the decision is written.
"""

import ast
import builtins
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Module of ours -> what it may import from us. A package may always import its own inside. "sources.*" is each
# single source, "sources" alone is the registry of all of them; the same with sinks.
TABLE: dict[str, set[str]] = {
    # the waist, and leaves that know nothing
    "clock": set(),
    "durable": set(),
    "errors": set(),
    "foreign": set(),
    "event": set(),
    "faults": {"clock", "errors"},
    "redact": set(),
    "header_lines": set(),
    "wary": {"header_lines"},
    "retry": set(),
    "systemd": set(),
    "masking": {"redact"},
    "logs": set(),
    "config": {"errors", "durable", "foreign"},
    # contracts
    "source": {"event"},
    "sink": set(),
    # protocols and outlets: siblings never meet
    "reading": {"event", "errors"},
    "sources.*": {"source", "event", "errors", "reading", "redact"},
    "sources": {"source", "sources.*"},
    "sinks.*": {"sink", "event", "errors", "wary"},
    "sinks": set(),
    # the log
    "outbox": {"event", "errors", "clock", "durable", "foreign"},
    "zone_states": {"outbox"},
    "projection": {"liveness", "zone_states", "outbox", "sink", "errors", "clock"},
    "album": {"outbox", "event", "errors", "faults", "clock", "durable"},
    "intake": {"album", "outbox", "event", "errors", "clock"},
    "incidents": {"intake", "outbox", "sources.*", "event", "errors", "faults", "clock"},
    # the loops and the listener
    "bodies": set(),
    "guard": {"bodies", "errors"},
    "listener": {"errors", "header_lines"},
    "receiver": {"intake", "outbox", "reading", "source", "errors", "guard", "redact", "faults", "clock"},
    "callbacks": {"receiver", "intake", "outbox", "source", "guard", "faults"},
    "forwarder": {"outbox", "sink", "retry", "errors", "faults", "clock"},
    "poller": {
        *("intake", "outbox", "reading", "source", "event", "retry", "errors", "faults", "redact", "clock"),
        "wary",
    },
    # the one thing that is written to a device, by a command and by the daemon on its timer
    "provisioning": {"errors", "wary"},
    "liveness": {"outbox", "event", "errors", "faults", "clock"},
    # what takes a configuration over from the card, before the daemon starts
    "firstboot": {"clock", "errors", "config", "durable"},
    "control": {"outbox", "projection", "errors", "clock", "foreign"},
    # what another box needs to go on where this one stopped
    "backup": {"outbox", "config", "errors", "clock", "durable", "foreign"},
    "monitoring": set(),
    # the options of a sink, from its section
    "outlets": {"config", "event", "sinks.*"},
    # what looks at the box and the far ends: the command and the daemon ask the same checks
    "doctor": {
        *("clock", "config", "control", "errors", "event", "faults", "logs", "masking", "outbox", "outlets"),
        *("foreign", "poller", "sinks.*", "source", "sources.*"),
    },
    # what acts like a site, and knows nothing of the gateway behind its wire
    "simulate": {"event", "errors"},
    # what puts it all together
    "daemon": {
        *(
            "clock",
            "errors",
            "event",
            "faults",
            "foreign",
            "redact",
            "retry",
            "systemd",
            "logs",
            "config",
            "source",
            "sink",
        ),
        *(
            "sources",
            "sources.*",
            "sinks.*",
            "outbox",
            "projection",
            "zone_states",
            "guard",
            "listener",
            "album",
            "intake",
            "incidents",
            "masking",
            "receiver",
            "callbacks",
        ),
        *("forwarder", "poller", "liveness", "provisioning", "control", "monitoring", "doctor", "outlets"),
        "firstboot",
    },
    "commands": {
        *("config", "daemon", "control", "outbox", "simulate", "errors", "provisioning", "doctor"),
        *("firstboot", "backup", "faults", "foreign"),
    },
    "__main__": {"commands"},
}

# Package of others -> where it lives. Everywhere else it is unknown, so that it can be exchanged.
HOMES: dict[str, set[str]] = {
    "annotated_types": {"config"},  # the bounds in pydantic's fields
    "anyio": set(TABLE),
    "click": {"commands", "__main__"},
    "h11": {"listener", "header_lines"},
    "httpx2": {"wary", "sinks.https", "poller", "provisioning", "control", "commands", "simulate"},
    "hypercorn": {"listener"},
    "iotcore": {"simulate"},
    "lxml": {"reading.xml_body"},
    "paho": {"sinks.mqtt", "simulate"},
    "pydantic": {"config"},
    "pydantic_core": {"config"},
    "sqlite_utils": {"outbox"},
    "starlette": {"control", "monitoring"},
    "structlog": set(TABLE),  # to get a logger; see `structlog_misused`
    "trustme": {"simulate"},
}

BANNED = {"utils", "helpers", "manager", "service", "handler", "base", "common", "misc", "constants"}
# It looks its own commands up by name, so that one command does not load the libraries of all.
DYNAMIC = {"commands"}


def modules() -> dict[str, str]:
    """Map each module of ours, without "gateway.", to its text; the package itself is ""."""
    found = {}
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        parts = path.relative_to(ROOT / "gateway").with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path.read_text("utf-8")
    return found


def imports(text: str, module: str, *, package: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of everything imported, wherever in the file it stands."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                around = ["gateway", *module.split(".")]
                around = around[: len(around) + int(package) - node.level]
                origin = ".".join([*around, origin] if origin else around)
            if origin == "gateway":
                yield from ((node.lineno, f"gateway.{name.name}") for name in node.names)
            else:
                yield node.lineno, origin


def row_of(module: str) -> str:
    parts = module.split(".")
    return f"{parts[0]}.*" if parts[0] in {"sources", "sinks"} and len(parts) > 1 else parts[0]


def inside(module: str) -> str:
    """Name the package that a module may use freely, because it is its own."""
    parts = module.split(".")
    return ".".join(parts[:2] if parts[0] in {"sources", "sinks"} else parts[:1])


def within(module: str, place: str) -> bool:
    return module == place or module.startswith(place + ".")


def wrongs(found: dict[str, str]) -> list[str]:
    """Say what in these modules breaks the tables."""
    said = []
    for module, text in found.items():
        if not module:
            continue  # gateway/__init__.py holds the version
        row = row_of(module)
        if row not in TABLE:
            said.append(
                f"gateway.{module}: a new module; add a row for {row!r} to TABLE in tests/test_layers.py"
            )
            continue
        package = any(other.startswith(module + ".") for other in found)
        for line, name in imports(text, module, package=package):
            top = name.split(".")[0]
            place = f"gateway.{module}, line {line}"
            if top == "gateway":
                target = name.removeprefix("gateway").removeprefix(".")
                known = not target or target.startswith("__version__")
                if not known and not within(target, inside(module)) and row_of(target) not in TABLE[row]:
                    said.append(f"{place}: {row} may not import {target}; it may import {sorted(TABLE[row])}")
            elif top not in sys.stdlib_module_names:
                if top not in HOMES:
                    said.append(
                        f"{place}: {top} is a new package; give it a home in HOMES in tests/test_layers.py"
                    )
                elif not any(within(module, home.removesuffix(".*")) for home in HOMES[top]):
                    said.append(f"{place}: {top} lives in {sorted(HOMES[top])} only")
    return said


def structlog_misused(found: dict[str, str]) -> list[str]:
    """Only `logs` configures structlog; others get a logger from it and nothing else."""
    said = []
    for module, text in found.items():
        if within(module, "logs"):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "structlog":
                said.append(
                    f"gateway.{module}, line {node.lineno}: write import structlog, and structlog.get_logger()"
                )
            of_structlog = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if of_structlog and node.value.id == "structlog" and node.attr != "get_logger":
                said.append(
                    f"gateway.{module}, line {node.lineno}: structlog.{node.attr} belongs to gateway.logs"
                )
    return said


def other_roots(found: dict[str, str]) -> list[str]:
    """Every error of ours derives from GatewayError, so that one except clause can name them all."""
    classes = [
        (f"gateway.{module}, line {node.lineno}", node.name, [_last_name(base) for base in node.bases])
        for module, text in found.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and node.name != "GatewayError"
    ]
    ours, foreign = {"GatewayError"}, set()
    for _ in classes:  # a class may come before what it derives from
        ours |= {name for _, name, bases in classes if ours & set(bases)}
        foreign |= {
            name for _, name, bases in classes if any(base in foreign or _is_error(base) for base in bases)
        }
    return [
        f"{place}: {name} is an error of its own; derive it from GatewayError or one of its kinds"
        for place, name, _ in classes
        if name in foreign - ours
    ]


def _last_name(base: ast.expr) -> str:
    return base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")


def _is_error(name: str) -> bool:
    known = getattr(builtins, name, None)
    if isinstance(known, type):
        return issubclass(known, BaseException)
    return name.endswith("Exception")  # of a library: click.ClickException


def dynamic_imports(found: dict[str, str]) -> list[str]:
    return [
        f"gateway.{module}, line {node.lineno}: an import that this test cannot read"
        for module, text in found.items()
        for node in ast.walk(ast.parse(text))
        if module not in DYNAMIC
        and isinstance(node, ast.Call)
        and (
            getattr(node.func, "attr", "") == "import_module"
            or getattr(node.func, "id", "") in {"__import__", "exec"}
        )
    ]


def test_imports_follow_the_table():
    """No module imports what its row does not name, and each package of others stays in its home."""
    assert [] == wrongs(modules())


def test_only_logs_configures_structlog():
    """There is one place that decides how lines look and what is left out of them."""
    assert [] == structlog_misused(modules())


def test_there_is_one_root_of_errors():
    """No error class of ours stands beside GatewayError."""
    assert [] == other_roots(modules())


def test_imports_can_be_read():
    """Nothing is imported by a name that is put together at run time."""
    assert [] == dynamic_imports(modules())


def test_no_file_has_a_name_that_says_nothing():
    """A file is called after what it knows."""
    files = [path for folder in ("gateway", "tests", "bench") for path in (ROOT / folder).rglob("*.py")]
    assert [] == [
        str(path.relative_to(ROOT)) for path in files if path.stem.lower().removeprefix("test_") in BANNED
    ]


def used() -> dict[str, set[str]]:
    """Find what each row really imports of ours."""
    found = modules()
    rows: dict[str, set[str]] = {row: set() for row in TABLE}
    for module, text in found.items():
        package = any(other.startswith(module + ".") for other in found)
        for _, name in imports(text, module, package=package):
            target = name.removeprefix("gateway").removeprefix(".")
            if module and name.startswith("gateway.") and row_of(target) in TABLE:
                rows[row_of(module)].add(row_of(target))
    return rows


def test_the_table_allows_nothing_that_nobody_uses():
    """An arrow that no import needs is no part of the architecture."""
    real = used()
    assert {} == {row: allowed - real[row] for row, allowed in TABLE.items() if allowed - real[row]}


def documented() -> dict[str, set[str]]:
    """Read the table of ARCHITECTURE.md: each module that a line names, with what it may use."""
    lines = (ROOT / "ARCHITECTURE.md").read_text("utf-8").splitlines()
    start = lines.index("| module | may use of ours | third party that lives there |") + 2
    rows: dict[str, set[str]] = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        names, may_use, *_ = line.strip("| ").split(" | ")
        allowed = may_use.partition(";")[0]
        for name in re.findall(r"`([^`]+)`", names):
            rows[name] = set() if allowed == "–" else set(allowed.split(", "))
    return rows


def test_the_architecture_shows_the_same_table():
    """ARCHITECTURE.md has a line for every row, and the same arrows."""
    shown = documented()
    assert set(TABLE) == set(shown)
    assert {} == {row: (allowed, shown[row]) for row, allowed in TABLE.items() if allowed != shown[row]}


def test_the_table_names_nothing_that_is_not_in_it():
    """A row cannot allow a module that has no row."""
    named = set().union(*TABLE.values())
    assert set() == named - set(TABLE)
    assert set() == {row_of(home) for homes in HOMES.values() for home in homes} - set(TABLE)


@pytest.mark.parametrize(
    ("module", "text", "said"),
    [
        ("event", "from gateway.receiver import Receiver", "event may not import receiver"),
        ("sources.people_counter", "import gateway.outbox", "sources.* may not import outbox"),
        (
            "sources.people_counter",
            "from gateway.sources.face_terminal import x",
            "may not import sources.face_terminal",
        ),
        ("sources.people_counter", "from gateway.sources import face_terminal", "may not import sources;"),
        (
            "sources.people_counter.windows",
            "from ..face_terminal import codes",
            "may not import sources.face_terminal",
        ),
        ("sinks.mqtt.sink", "from gateway.sinks.https import packing", "may not import sinks.https"),
        ("receiver", "from gateway import outbox, sinks", "receiver may not import sinks"),
        ("retry", "def f():\n    from gateway import errors", "line 2: retry may not import errors"),
        ("novelty", "", "add a row for 'novelty'"),
        ("sinks.mqtt", "import lxml.etree", "lxml lives in ['reading.xml_body'] only"),
        ("reading.json_body", "from lxml import etree", "lxml lives in"),
        ("outbox.store", "import requests", "requests is a new package"),
    ],
)
def test_a_wrong_import_is_found(module, text, said):
    """The checker fails as it should, with a sentence that says what is wrong."""
    (sentence,) = wrongs({module: text})
    assert said in sentence


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            "sources.people_counter.windows",
            "from gateway.sources.people_counter import clock\nfrom . import fields",
        ),
        ("sources", "from gateway.sources.people_counter import PeopleCounter"),
        (
            "daemon.running",
            "from gateway import __version__, systemd\nfrom gateway.sources import registry\nimport anyio",
        ),
        ("reading.xml_body", "import re\nfrom lxml import etree"),
        ("sinks.mqtt.dial", "import paho.mqtt.client"),
    ],
)
def test_a_right_import_is_allowed(module, text):
    """What the table allows passes, inside of packages too."""
    assert [] == wrongs({module: text})


def test_the_other_checks_fail_as_they_should():
    """A second configuration of structlog, a second root of errors and a hidden import are found."""
    assert structlog_misused({"receiver": "import structlog\nstructlog.configure()"})
    assert structlog_misused({"receiver": "from structlog import configure"})
    assert [] == structlog_misused({"receiver": "import structlog\nlog = structlog.get_logger()"})
    assert other_roots({"a": "class Odd(Exception): pass"})
    assert other_roots({"a": "class Odd(click.ClickException): pass\nclass Odder(Odd): pass"})
    assert [] == other_roots(
        {"a": "class Fine(Rejected): pass\nclass Rejected(GatewayError): pass\nclass Plain: pass"}
    )
    assert dynamic_imports({"a": "import importlib\nimportlib.import_module(name)"})
