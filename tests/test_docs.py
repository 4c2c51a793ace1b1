"""The documents for users are held against the product: what they name exists and is explained."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest
from documented_site import FIXTURES, SECRET
from pages import DOCS, PAGES, ROOT, blocks, examples, rows, spans, tables

from gateway.album import said_of
from gateway.commands import main
from gateway.commands.sinks import SINK_COLUMNS
from gateway.config import loads
from gateway.event import Event, Json, ZoneRule
from gateway.faults import ACTIONS
from gateway.source import Answer, Post
from gateway.sources import callbacks, registry
from gateway.sources import camlytics as lan
from gateway.sources.camio.incidents import ended_by_quiet
from gateway.sources.camlytics_cloud import Account, Keys, Rule, Rules, polls
from gateway.sources.face_terminal import codes
from gateway.sources.face_terminal.alarms import DESCRIPTION
from gateway.sources.face_terminal.records import PERSONAL

SOURCE = {path: path.read_text("utf-8") for path in (ROOT / "gateway").rglob("*.py")}
# They look like options of the section "gateway".
FILES = {
    *("gateway.ballast", "gateway.db", "gateway.lock"),
    *("gateway.sock", "gateway.socket", "gateway.service"),
}


# Commands, options, links


def commands() -> list[tuple[str, str]]:
    """Find every command line of ours in the documents."""
    shown = {
        page: spans(page)
        + [line for kind in ("sh", "ini") for block in blocks(page, kind) for line in block.splitlines()]
        for page in PAGES
    }
    # As they stand in a shell, behind sudo or ssh, and in a unit.
    before = r"(?:.*\bssh (?:-\S+ )*\S+ )?(?:ExecStart=)?(?:.*\bexec )?(?:sudo )?"
    ours = re.compile(before + r"(?:\.venv/bin/|/usr/bin/)?gateway ((?:\$\([^)]*\)|[^#|<>&;\"'])+)")
    return [
        (page, re.sub(r"\$\([^)]*\)", "WORD", match[1]).strip())
        for page, lines in shown.items()
        for line in lines
        if (match := ours.match(line))
    ]


def walk(words: list[str]) -> None:
    """Follow the words through the commands; fail at the first that is not there."""
    command: click.Command = main
    arguments = 0
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word.startswith("-") and word != "-":
            options = [option for option in command.params if word in (*option.opts, *option.secondary_opts)]
            assert options, f"{command.name} has no option {word}"
            if not options[0].is_flag:
                assert waiting, f"{word} needs a value"
                waiting.pop(0)
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"there is no command {word}"
            command = found
        else:
            arguments += 1
    places = sum(isinstance(param, click.Argument) for param in command.params)
    assert arguments <= places, f"{command.name} takes {places} arguments and not {arguments}"


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_every_command_that_is_shown_exists(page: str, line: str) -> None:
    """A command line in the documents names a command, and options that this command has."""
    walk(shlex.split(line))


def test_the_documents_show_commands() -> None:
    """The search for command lines finds those that are known to be there, so that it does not find nothing."""
    shown = {line for _, line in commands()}
    assert {"status", "letters list", "sinks upstream --try-now", "check"} <= shown
    # Behind sudo, behind ssh, and in a unit.
    assert {"reload", "provision --from /mnt/card", "restore -", "backup -"} <= shown
    assert any(line.startswith("backup --force --other-disk /media/usb") for line in shown)
    with pytest.raises(AssertionError, match="no option --nosuch"):
        walk(["status", "--nosuch"])
    with pytest.raises(AssertionError, match="no command nosuch"):
        walk(["nosuch"])


def manual() -> set[str]:
    """List the options of the example configuration, as in `store.max_bytes`."""
    section, found = "", set()
    for line in (ROOT / "config.example.toml").read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"#?\[([a-z_.]+)\]", line):
            section = heading[1]
        elif option := re.match(r"#([a-z_]+) = ", line):
            found.add(f"{section}.{option[1]}")
    return found


def test_every_option_that_is_named_is_in_the_manual() -> None:
    """An option that a document names as `section.option` stands in config.example.toml."""
    known = manual()
    sections = {option.split(".")[0] for option in known}
    named = {
        (page, span)
        for page in PAGES
        for span in spans(page)
        if re.fullmatch(r"[a-z]+(\.[a-z_]+)+", span) and span.split(".")[0] in sections and span not in FILES
    }
    assert len(named) > 30
    assert set() == {(page, span) for page, span in named if span not in known}


def anchors(text: str) -> set[str]:
    """Make the anchors of the headings as GitHub does."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_link_leads_somewhere(page: str) -> None:
    """A relative link leads to a file that is there, and to a heading that is in it."""
    folder = ROOT if page == "README.md" else ROOT / "docs"
    for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = folder / file if file else folder / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), link


def test_every_page_is_linked_from_the_readme() -> None:
    """A person who starts at README.md finds every document for users."""
    assert [] == [page for page in DOCS if f"docs/{page}" not in PAGES["README.md"]]


# Faults


def fault_codes() -> dict[str, bool]:
    """Find every fault code that the source can raise, and whether it brings its own action along."""
    found: dict[str, bool] = {}
    for path, text in SOURCE.items():
        for code in re.findall(r'(?:\.report\(\s*|\bfault(?:: str)? ?= ?)"([a-z0-9_]+)"', text):
            found.setdefault(code, False)
        for code in re.findall(r'\bwrong\(\s*[\w.]+,\s*"([a-z0-9_]+)"', text):
            found.setdefault(code, False)
        for code in re.findall(r'\bNotice\(\s*"([a-z_]+)"', text):
            found[code] = True
        if "sinks" in path.parts:
            for code in re.findall(r'"((?:mqtt|https)_[a-z0-9_]+)"', text):
                found.setdefault(code, False)
        for either in re.findall(r'code = "([a-z_]+)" if .* else "([a-z_]+)"', text):
            found |= dict.fromkeys(either, False)
    return found


def test_every_fault_has_an_action_and_a_place() -> None:
    """A code that the source raises says what to do, and operate.md has a line for it; and the other way round."""
    raised = fault_codes()
    assert {"store_full", "mqtt_login", "https_gone", "zone_disagrees", "refused_sender"} <= raised.keys()
    without = {code for code, brings_action in raised.items() if not brings_action}
    assert set() == without - ACTIONS.keys()
    sinks = ("Sinks of the type mqtt", "Sinks of the type https", "Sinks of every type")
    lines: dict[str, str] = {}
    for heading in (
        "Devices",
        "Store",
        *sinks,
        "The way to far ends",
        "Systems that are asked",
        "The gateway itself",
        "The box",
    ):
        lines |= rows("operate.md", heading)
    assert raised.keys() | ACTIONS.keys() == lines.keys()
    assert all(len(line.split(" | ")) == 3 and line.split(" | ")[2].strip(" |") for line in lines.values())


def test_every_refusal_has_a_place() -> None:
    """A word that the device port gives for a refusal is in the table of devices.md, and the other way round."""
    listener = "\n".join(text for path, text in SOURCE.items() if "listener" in path.parts)
    words = set(re.findall(r'(?:_refused\(|refusals\.add\(.*?, )"([a-z_]+)"', listener))
    words |= set(re.findall(r'return "([a-z_]+)"', SOURCE[ROOT / "gateway/listener/listener.py"]))
    named = r'"((?:tls|slow|bad|http|header)_[a-z_]+|silent)"'
    words |= set(re.findall(named, SOURCE[ROOT / "gateway/listener/http11.py"]))
    words |= set(re.findall(r'_Refused\(\s*\d+, "([a-z_]+)"', SOURCE[ROOT / "gateway/guard.py"]))
    words -= {"tls"}  # the device port speaks no TLS
    assert words == rows("devices.md", "The gateway refuses the sender").keys()


def test_the_account_is_explained() -> None:
    """Each figure of the account that `gateway status` prints is explained in operate.md."""
    explained = " ".join(rows("operate.md", "When something is wrong").values())
    told = {"SINK", "CONNECTED", "LAST ERROR"}
    assert [] == [head for head in SINK_COLUMNS.values() if head not in told and f"`{head}`" not in explained]


# What the sources give


@dataclass
class Emitted:
    """The names that the product really gives, collected from every fixture."""

    data: dict[str, set[str]] = field(default_factory=dict)
    personal: set[str] = field(default_factory=set)
    properties: set[str] = field(default_factory=set)
    counts: set[str] = field(default_factory=set)


def alarm_of_a_new_firmware() -> Mapping[str, object]:
    """Read an alarm with a field that nobody knows; no fixture has one."""
    alarm = {"trace_id": "t", "status": 1, "event_time": 1684381433398, "newField": 1}
    body = json.dumps({"type": 1, "data": alarm}).encode()
    post = Post(method="POST", path="/", body=body, received_at=datetime.now(UTC), address="192.0.2.17")
    return registry()[1].parse(post).events[0].data


def of_the_lan() -> list[Event]:
    """Read what a Camlytics PC answers and sends, with rules; fixtures only have its webhooks, and know no PC."""
    here = lan.Instance(
        name="hall",
        endpoint="http://192.0.2.20:48462",
        mode="hourly",
        rules=(lan.Rule(rule="Enter", direction="in", zone="hall"),),
    )
    common = {"channel_id": "c", "object_id": "9", "rule_id": "4", "rule_name": "Enter", "newField": 1}
    rows = [
        {**common, "event_id": number, "type": said, "time": "2026-05-05T12:00:00.0000000"}
        | {"origin": "Pedestrian", "snapshot_path": "x"}
        for number, said in enumerate(("TripwireCrossed", "Loitering", "New"), start=1)
    ]
    at = datetime(2026, 5, 5, 12, 0, tzinfo=UTC)
    asked = Answer(status=200, headers={}, body=json.dumps(rows).encode(), received_at=at)
    target = "/v1/json/events?timeout=1"
    page = lan.CamlyticsPoll(here).read(replace(asked, target=target), {})
    sums = {
        "rule_id_aggregate": [{"rule_id": "4", "rule_name": "Enter", "event_count": 1}],
        "channel_id": "c",
    }
    sums |= {"since_time": "2026-05-05T11:00:00+01:00", "until_time": "2026-05-05T12:00:00+01:00"}
    post = Post(method="POST", path="/", body=json.dumps(sums).encode(), address="192.0.2.20", received_at=at)
    return [*page.reading.events, *lan.Camlytics([here]).parse(post).events]


def of_the_cloud() -> list[Event]:
    """Read what the polls of the Camlytics cloud bring, with rules and names; fixtures only have its webhooks."""
    line = {"id": "4", "name": "Enter", "active": 1, "type": "Line", "channel_id": "c", "location_id": 1}
    crossing = {
        "record_id": 1,
        "id": 2,
        "event_type": "TripwireCrossed",
        "trigger_id": "4",
        "channel_id": "c",
        "location_id": 1,
        "event_time": "2026-05-05T12:00:00.000+00:00",
        "newField": 1,
    }
    hour = {
        "trigger_id": "4",
        "channel_id": "c",
        "location_id": 1,
        "histogram_time": "2026-05-05T04:00:00+00:00",
    }
    given = {
        "locations": [{"id": 1, "name": "Shop", "version": "3", "timezone_offset": "+00:00"}],
        "channels": [{"id": "c", "name": "Door", "active": 1, "paid": 1, "location_id": 1}],
        "triggers": [line],
        "events": [
            crossing,
            *({**crossing, "record_id": kind, "event_type": kind} for kind in ("Loitering", "New")),
        ],
        "histograms": [{**hour, "counting_data": [3600], "lifetime_data": []}],
    }
    rules = Rules.of([Rule(trigger="Enter", direction="in", zone="hall")])
    found: list[Event] = []
    for poll in polls(Account(name="a", keys=Keys("k", "s"), rules=rules), totals=False):
        cursor: Mapping[str, Json] = {}
        for _ in range(3):
            ask = poll.ask(cursor, datetime(2026, 5, 5, 12, 0, tzinfo=UTC), 1)
            method = ask.target.partition("?")[0].rpartition("/")[2]
            body = json.dumps({"msg": "success", "code": 0, "result": given[method]}).encode()
            at = datetime(2026, 5, 5, 12, 0, tzinfo=UTC)
            page = poll.read(Answer(status=200, headers={}, body=body, received_at=at), cursor)
            found, cursor = [*found, *page.reading.events], page.cursor
    return found


@pytest.fixture(scope="module")
def emitted() -> Emitted:
    """Read every captured request, with all personal fields switched on."""
    every = frozenset({*PERSONAL, DESCRIPTION, "gender", "age", "pacs", "age_range", "gender_seen"})
    sources = {source.name: source for source in (*registry(every), *callbacks(every))}
    seen = Emitted()
    for case in sorted(path.parent for path in FIXTURES.glob("*/*/request.json")):
        if "unreadable" in json.loads((case / "expected.json").read_text("utf-8")):
            continue
        request = json.loads((case / "request.json").read_text("utf-8"))
        given = {
            name: request[name] for name in ("headers", "address", "token", "known_device") if name in request
        }
        zone = ZoneInfo(request["zone"]) if request.get("zone") else None
        received = datetime.fromisoformat(request["received_at"]).astimezone(UTC)
        body = (case / "body").read_bytes()
        post = Post(method="POST", path="/", body=body, received_at=received, zone=zone, **given)
        for event in sources[case.parent.name].parse(post).events:
            seen.data.setdefault(event.kind.value, set()).update(event.data)
            seen.personal |= event.personal.keys()
            seen.counts |= {event.data["count"]} if event.kind == "count" else set()
            if event.kind == "heartbeat" and case.name.startswith("vendor"):
                seen.properties |= event.data["properties"].keys()
    for event in (*of_the_cloud(), *of_the_lan()):
        seen.data.setdefault(event.kind.value, set()).update(event.data)
    seen.data["alarm"] |= alarm_of_a_new_firmware().keys()
    for kind in ("access", "alarm"):  # when pictures are kept
        seen.data[kind] |= said_of("").keys()
    seen.data["alarm"] |= ended_by_quiet("camio-x", {}, "id", datetime.now(UTC), "").data.keys()
    return seen


@pytest.mark.parametrize("kind", ["count", "access", "alarm", "heartbeat", "observation"])
def test_the_fields_of_each_kind_are_those_that_come(emitted: Emitted, kind: str) -> None:
    """The table of a kind in events.md names exactly the fields that its sources give."""
    assert emitted.data[kind] == rows("events.md", kind).keys()


def test_the_words_of_counts_and_heartbeats_are_those_that_come(emitted: Emitted) -> None:
    """events.md explains every kind of count, every rule for time and every property of a heartbeat that comes."""
    assert emitted.counts | {"cumulative"} == tables("events.md", "count")[1].keys()
    assert {rule.value for rule in ZoneRule} == tables("events.md", "Fields of every event")[1].keys()
    assert emitted.properties == tables("events.md", "heartbeat")[1].keys()


def test_the_personal_fields_are_those_that_can_be_listed(emitted: Emitted) -> None:
    """events.md names exactly the personal fields that the sources keep and a sink may list."""
    documented = rows("events.md", "Personal fields").keys()
    assert {
        "user_id",
        "gender",
        "age",
        "pacs",
        "age_range",
        "gender_seen",
        DESCRIPTION,
        *PERSONAL,
    } == documented
    assert emitted.personal == documented


def test_every_word_of_the_terminal_is_explained() -> None:
    """A word that stands for a code of the face terminal is in events.md."""
    persons = (codes.RECOGNISED_AS, codes.MODES, codes.ENTRIES, codes.ABNORMALS)
    words = {word for table in (*persons, codes.ALARMS, codes.ALARM_STATES) for word in table.values()}
    assert set() == {word for word in words if f"`{word}`" not in DOCS["events.md"]}


def test_the_examples_of_events_are_events(emitted: Emitted) -> None:
    """Each example in events.md and upstream.md has only fields that events have."""
    envelope = rows("events.md", "Fields of every event").keys()
    events = examples("events.md") + [cloud["data"] for cloud in examples("upstream.md")]
    assert {"count", "access", "alarm", "heartbeat", "observation", "occupancy"} <= {
        event["kind"] for event in events
    }
    for event in events:
        assert event.keys() <= envelope
        # What the gateway itself says comes from no source; tests of its own hold it against its table.
        known = emitted.data.get(event["kind"]) or rows("events.md", event["kind"]).keys()
        assert event["data"].keys() <= known
        assert event["data"].get("properties", {}).keys() <= emitted.properties


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")])
def test_every_piece_of_configuration_loads(page: str, tmp_path: Path) -> None:
    """A piece of configuration that a document shows is one without a mistake, once its secrets are there."""
    for block in blocks(page, "toml"):
        text = block
        for option, name in re.findall(r'^([a-z_]+_file) = "(.+)"', block, re.MULTILINE):
            (tmp_path / Path(name).name).write_text(
                "word-for-a-path" if option == "path_secret_file" else SECRET
            )
            (tmp_path / Path(name).name).chmod(0o600)
            text = text.replace(f'{option} = "{name}"', f'{option} = "{tmp_path / Path(name).name}"')
        assert loads(text) != loads("")
