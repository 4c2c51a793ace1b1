"""Fuzz targets: every source and every poll, fed with a stranger's bytes."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fuzz_rules import RECEIVED, check_events, check_page, check_reading, demand

from gateway.callbacks import Key
from gateway.errors import PollUnavailable, Unreadable
from gateway.event import Json
from gateway.simulate.camlytics_cloud import Cloud, Gate, Place, World
from gateway.source import Answer, Page, Poll, Post, Source
from gateway.sources import callbacks, registry
from gateway.sources.camlytics import CamlyticsPoll, Instance, Rule
from gateway.sources.camlytics.steps import CHANNELS, TOTALS
from gateway.sources.camlytics_cloud import Account, CamlyticsCloudWebhook, Keys, polls
from gateway.sources.camlytics_cloud import Rule as CloudRule
from gateway.sources.camlytics_cloud import Rules as CloudRules
from gateway.sources.camlytics_cloud.events import Events
from gateway.sources.camlytics_cloud.histograms import Histograms
from gateway.sources.camlytics_cloud.lists import Lists
from gateway.sources.camlytics_cloud.totals import Totals

_PERSONAL = frozenset({
    *("user_id", "name", "ic_number", "gender", "age", "remark", "groups", "job_number", "id_number"),
    *("description", "card_number", "pacs", "face", "user"),
})  # fmt: skip
_ZONES = (None, ZoneInfo("Europe/Lisbon"), ZoneInfo("Asia/Kolkata"))
_ADDRESSES = ("192.0.2.20", "192.0.2.21", "192.0.2.22", "192.0.2.23", "2001:db8::7")
_RULES = (
    Rule(rule="Enter", direction="in", zone="hall"),
    Rule(rule="Exit", direction="out"),
    Rule(rule="Street", direction="ignore"),
    Rule(rule="Lounge", zone="lounge"),
)
_PCS = (
    Instance(name="asked", endpoint="http://192.0.2.20:48462", rules=_RULES),
    Instance(
        name="hall",
        endpoint="http://192.0.2.21:48462",
        mode="webhook",
        rules=_RULES,
        zone=ZoneInfo("Europe/Lisbon"),
    ),
    Instance(name="hours", endpoint="http://192.0.2.22:48462", mode="hourly", rules=_RULES),
    Instance(name="days", endpoint="http://192.0.2.23:48462", mode="daily", rules=_RULES),
)
_CLOUD_RULES = CloudRules.of([
    CloudRule(trigger="Enter", direction="in", zone="hall"),
    CloudRule(trigger="1", direction="out", zone="hall"),
    CloudRule(trigger="Lounge", zone="lounge"),
])  # fmt: skip
_COUNTER, _TERMINAL, _CAMLYTICS = registry(_PERSONAL, keep_pictures=True, camlytics=_PCS)
_CAMIO, _CLOUD = callbacks(
    _PERSONAL, camlytics_cloud=CamlyticsCloudWebhook(_CLOUD_RULES, keep_personal=_PERSONAL)
)


def post_of(body: bytes) -> Post:
    """Build a request around a body; what else is in it follows from the length, so that any byte may change."""
    size = len(body)
    return Post(
        method="POST",
        path="/",
        headers={"sn": "SN-7", "timestamp": "1781690400", "model": "SNP"} if size % 4 == 1 else {},
        body=body,
        address=_ADDRESSES[size % len(_ADDRESSES)],
        received_at=RECEIVED,
        zone=_ZONES[size % len(_ZONES)],
        token="k3v9-door" if size % 7 == 1 else None,
        known_device="terminal-sn-7" if size % 5 == 1 else None,
    )


def _read(source: Source, body: bytes, *, twice: bool) -> None:
    post = post_of(body)
    source.recognises(post)
    try:
        reading = source.parse(post)
    except Unreadable as unreadable:
        _check_reason(unreadable)
        return
    check_reading(reading, len(body))
    for reply in (source.accepted(post), source.refused(post)):
        demand(b"pass" not in reply.body.lower(), "no reply opens a door")
    if twice:
        demand(reading == source.parse(post), "the same post gives the same events")


def _check_reason(unreadable: Exception) -> None:
    said = str(unreadable)
    demand(said and "\n" not in said and len(said) <= 1_000, "a reason is one short line")


def people_counter(body: bytes, *, twice: bool = True) -> None:
    _read(_COUNTER, body, twice=twice)


def face_terminal(body: bytes, *, twice: bool = True) -> None:
    _read(_TERMINAL, body, twice=twice)


def camlytics_webhook(body: bytes, *, twice: bool = True) -> None:
    _read(_CAMLYTICS, body, twice=twice)


def camio(body: bytes, *, twice: bool = True) -> None:
    _read(_CAMIO, body, twice=twice)


def camlytics_cloud_webhook(body: bytes, *, twice: bool = True) -> None:
    _read(_CLOUD, body, twice=twice)


# The callbacks port: the secret header quoted somewhere in a body goes before a source sees it.

_KEY = Key("Authorization", ("Token canary-7f3a9c51/d+e", "canary-0b6e2d48"))
_SECRETS = (b"canary-7f3a9c51/d+e", b"canary-0b6e2d48", b"canary-7f3a9c51\\/d+e")


def callbacks_port(data: bytes, *, twice: bool = True) -> None:
    """The first two bytes say which spelling of the secret stands where."""
    which, at, rest = data[0] if data else 0, data[1] if len(data) > 1 else 0, data[2:]
    at = at * (len(rest) + 1) // 256
    body = _KEY.masked(rest[:at] + _SECRETS[which % 3] + rest[at:])
    demand(not any(secret in body for secret in _SECRETS), "the secret header is in nothing that is read")
    for source in (_CAMIO, _CLOUD):
        if source.recognises(post_of(body)):
            _read(source, body, twice=twice)


# Polls: the first byte says what was asked and from which place, the rest is the answer.


def _places(poll: Poll, answers: list[tuple[str, bytes]]) -> list[Mapping[str, Json]]:
    """Give the cursors that good answers lead to, one after the other."""
    places: list[Mapping[str, Json]] = [{}]
    for target, body in answers:
        try:
            page = poll.read(answer_of(body, target), places[-1])
        except (Unreadable, PollUnavailable) as trouble:  # pragma: no cover - the answers here are good
            raise AssertionError(f"{poll.name}: {trouble}") from trouble
        places.append(page.cursor)
    return places


def answer_of(body: bytes, target: str, status: int = 200) -> Answer:
    headers = {"date": "Wed, 17 Jun 2026 10:00:01 GMT"} if len(body) % 3 else {"retry-after": "7"}
    return Answer(status=status, headers=headers, body=body, received_at=RECEIVED, target=target)


def _read_page(poll: Poll, answer: Answer, cursor: Mapping[str, Json], *, twice: bool) -> None:
    try:
        page = poll.read(answer, cursor)
    except (Unreadable, PollUnavailable) as trouble:
        _check_reason(trouble)
        return
    size = len(answer.body)
    check_page(page, size, len(json.dumps(cursor)))
    if twice:
        again: Page = poll.read(answer, cursor)
        demand(page == again, "the same answer gives the same page")
        stored = json.loads(json.dumps(page.cursor))
        later = RECEIVED + timedelta(seconds=30)
        target = poll.ask(stored, later, 1781690400).target
        demand(target.startswith("/") and target.isascii() and target.isprintable(), "an ask is a target")
        try:
            check_events(poll.read(answer, stored).reading.events, size)
        except (Unreadable, PollUnavailable) as trouble:
            _check_reason(trouble)


_LAN = CamlyticsPoll(
    Instance(
        name="hall",
        endpoint="http://192.0.2.20:48462",
        zone=ZoneInfo("Europe/Lisbon"),
        rules=_RULES,
        limit=5,
        run="r1",
    )
)
_FOLLOW = "/v1/json/events?sinceId=0&order=ASC&limit=5&timeout=20"
_LOOK = "/v1/json/events?sinceId=0&order=ASC&limit=5"
_NEWEST = "/v1/json/events?order=DESC&limit=1"


def _lan_record(number: int, rule: str = "Enter", **more: object) -> dict[str, object]:
    return {
        "event_id": number,
        "type": "TripwireCrossed",
        "time": f"2026-06-17T10:{number:02}:02.1170000",
        "channel_id": "c1",
        "channel_name": "Door",
        "object_id": str(number),
        "origin": "Pedestrian",
        "rule_id": "e1",
        "rule_name": rule,
        "snapshot_path": None,
        **more,
    }


def _lan_places() -> list[tuple[str, Mapping[str, Json]]]:
    rows = json.dumps([_lan_record(number) for number in range(1, 4)]).encode()
    fresh: Mapping[str, Json] = {}
    read = _places(_LAN, [(_FOLLOW, rows)])[-1]
    hour = "2026-06-17T09"
    errand: dict[str, Json] = {"do": "rule", "at": 0, "hour": hour, "since": hour, "until": hour}
    return [
        (_FOLLOW, fresh),
        (_FOLLOW, read),
        (_LOOK, read),
        (_NEWEST, fresh),
        (CHANNELS, {**read, "errand": {"do": "channels", "at": 0}}),
        (f"{TOTALS['rule']}?x=1", {**read, "errand": errand}),
        (f"{TOTALS['type']}?x=1", {**read, "errand": {**errand, "do": "type"}}),
        (_FOLLOW, {**read, "before": {"last": 70}}),
    ]


_LAN_PLACES = _lan_places()


def camlytics_poll(data: bytes, *, twice: bool = True) -> None:
    target, cursor = _LAN_PLACES[(data[0] if data else 0) % len(_LAN_PLACES)]
    _read_page(_LAN, answer_of(data[1:], target), cursor, twice=twice)


_ACCOUNT = Account(
    name="shop",
    keys=Keys("public-key-1", "secret-key-1"),
    rules=_CLOUD_RULES,
    keep=_PERSONAL,
    locations=(101,),
)
_CLOUD_POLLS = polls(_ACCOUNT)
_STATUS = (200, 200, 200, 200, 200, 401, 429, 500)


def _walked(poll: Poll) -> tuple[list[Mapping[str, Json]], list[bytes]]:
    """Ask the stand-in of the cloud a few times: the places that a poll comes through, and good answers."""

    class Hands:
        at = RECEIVED.timestamp()

        def now(self) -> float:
            return self.at

    hands = Hands()
    world = World(hands, places=(Place(id=101),), seed=3, earlier_s=7_200)
    cloud = Cloud(world, Gate({_ACCOUNT.keys.public: _ACCOUNT.keys.secret}))
    places: list[Mapping[str, Json]] = [{}]
    answers = []
    for _ in range(5):
        hands.at += 1.1
        moment = datetime.fromtimestamp(hands.at, UTC)
        ask = poll.ask(places[-1], moment, int(hands.at))
        says = cloud.outcome("GET", ask.target, {name.lower(): text for name, text in ask.headers.items()})
        answers.append(says.content())
        places.append(poll.read(answer_of(answers[-1], ask.target), places[-1]).cursor)
    return places, answers


_WALKS = {poll.name: _walked(poll) for poll in _CLOUD_POLLS}


def _group(method: type) -> list[tuple[Poll, Mapping[str, Json]]]:
    return [
        (poll, place) for poll in _CLOUD_POLLS if isinstance(poll, method) for place in _WALKS[poll.name][0]
    ]


CLOUD_GROUPS = {
    "camlytics_cloud_lists": _group(Lists),
    "camlytics_cloud_events": _group(Events),
    "camlytics_cloud_totals": _group(Totals),
    "camlytics_cloud_histograms": _group(Histograms),
}


def cloud_poll(group: str) -> Callable[..., None]:
    """Make the target for some of the cloud's methods; two bytes choose method, place and status."""
    places = CLOUD_GROUPS[group]

    def read(data: bytes, *, twice: bool = True) -> None:
        poll, cursor = places[(data[0] if data else 0) % len(places)]
        status = _STATUS[(data[1] if len(data) > 1 else 0) % len(_STATUS)]
        _read_page(poll, answer_of(data[2:], "/", status), cursor, twice=twice)

    return read


def cloud_answers(group: str) -> list[bytes]:
    """Give good answers of a group as inputs."""
    seeds = []
    for number, (poll, _) in enumerate(CLOUD_GROUPS[group]):
        answers = _WALKS[poll.name][1]
        seeds += [bytes([number, 0]) + answer for answer in answers if len(answer) < 6_000]
    return seeds


def lan_answers() -> list[bytes]:
    """Give good answers of Camlytics on the LAN as inputs, one for each place."""
    rows = json.dumps([_lan_record(4), _lan_record(5, "Exit"), _lan_record(6, "Lounge", event_id="6")])
    channels = '[{"channel_id":"c1","channel_name":"Door"}]'
    rule = '[{"rule_id":"e1","rule_name":"Enter","channel_id":"c1","rule_count":2}]'
    kind = '[{"type":"TripwireCrossed","channel_id":"c1","type_count":2}]'
    answers = [rows, rows, rows, rows, channels, rule, kind, rows]
    return [bytes([place]) + answer.replace(" ", "").encode() for place, answer in enumerate(answers)]
