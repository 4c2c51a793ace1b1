"""Rules of the people counter that hold for any push; the dialects are in `tests/fixtures/people_counter`."""

import json
import re
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Unreadable
from gateway.event import Event, Kind, ZoneRule, tallies
from gateway.source import Post, Reading
from gateway.sources.people_counter import PeopleCounter, leftovers

START = 1761991200  # 2025-11-01 18:00 at UTC+8
RECEIVED = datetime(2025, 11, 1, 10, 1, 30, tzinfo=UTC)
NUMBERS = ("Enters", "Exits", "Passings", "Returns")


def _post(body: str | bytes, **known) -> Post:
    raw = body.encode() if isinstance(body, str) else body
    whole = {"method": "POST", "path": "/", "body": raw, "address": "192.168.8.9", "received_at": RECEIVED}
    return Post(**(whole | known))


def _read(body: str | bytes, **known) -> Reading:
    return PeopleCounter().parse(_post(body, **known))


def _only(body: str | bytes, **known) -> Event:
    (event,) = _read(body, **known).events
    return event


def _count(
    *, unix: int | None = START, at: str = "18:00:00", to: str = "18:01:00", more: str = "", **numbers
):
    stated = {"StartTime": at, "EndTime": to, "UnixStartTime": unix, **(numbers or {"Enters": 3, "Exits": 1})}
    listed = "".join(f' {name}="{value}"' for name, value in stated.items() if value is not None)
    return f"<Count{listed}{more}/>"


def _push(
    counts: str,
    *,
    root: str = "Metrics",
    sent: int | None = START + 70,
    date: str = "2025-11-01",
    **extra: str,
) -> str:
    properties = {"SerialNumber": "200000000000000001", "MacAddress": "4C:BC:98:00:00:01", "Timezone": "8"}
    if sent is not None:
        properties["TransmitTime"] = str(sent)
    listed = "".join(f"<{name}>{value}</{name}>" for name, value in (properties | extra).items())
    objects = (
        counts if "<Object" in counts else f'<Object Id="0" ObjectType="0" Name="count">{counts}</Object>'
    )
    return (
        f'<{root} SiteName="Pier" DeviceId="door-2"><Properties>{listed}</Properties>'
        f'<ReportData Interval="1"><Report Date="{date}">{objects}</Report></ReportData></{root}>'
    )


def _everything(reading: Reading) -> str:
    """Show all that leaves the source, in both ways in which it could be written down."""
    return repr(reading) + json.dumps([asdict(event) for event in reading.events], default=str)


# --- recognising


OURS = {
    "plain": b"<Metrics/>",
    "real time": b"<?xml version='1.0'?>\n<RTMetrics a='1'>",
    "heartbeat in lower case": b"<diags>",
    "byte order mark": b"\xef\xbb\xbf<?xml version='1.0'?><Metrics>",
    "comment in front": b"<!-- <html> --><?x?><Metrics>",
    "prefix": b"<c:Metrics xmlns:c='urn:x'>",
    "UTF-16": "<?xml version='1.0'?><Metrics>".encode("utf-16"),
    "UTF-16, big end first": "\ufeff<Metrics>".encode("utf-16-be"),
    "blanks and NUL in front": b"\0\r\n <Metrics>",
    "text in front": b"data=<Metrics>",
    "cut off behind the name": b"<Metrics",
    "document type": b"<!DOCTYPE Metrics [<!ENTITY a 'b'>]><Metrics>",
}
NOT_OURS = {
    "nothing": b"",
    "other vendor": b"<?xml version='1.0'?><EventNotificationAlert><Metrics/></EventNotificationAlert>",
    "longer name": b"<MetricsOfOthers/>",
    "shorter name": b"<Metric/>",
    "JSON": b'{"text": "<Metrics>"}',
    "JSON list": b'["<Metrics>"]',
    "comment only": b"<!-- <Metrics> -->",
    "closing tag": b"</Metrics>",
    "text": b"Metrics",
}


@pytest.mark.parametrize("body", OURS.values(), ids=OURS)
def test_bodies_of_counters_are_recognised(body: bytes) -> None:
    """A body whose first tag is one of ours is recognised, broken or not."""
    assert PeopleCounter().recognises(_post(body))


@pytest.mark.parametrize("body", NOT_OURS.values(), ids=NOT_OURS)
def test_other_bodies_are_left_to_others(body: bytes) -> None:
    """A body with another first tag, or with our names somewhere else, is not ours."""
    assert not PeopleCounter().recognises(_post(body))


def test_another_root_is_unreadable() -> None:
    """XML of somebody else that is sent to a counter's path is unreadable, and the reason names our roots."""
    with pytest.raises(Unreadable, match="Metrics, RTMetrics and Diags"):
        _read("<html/>")


def test_the_replies_are_a_plain_200_and_never_a_success() -> None:
    """The device hears 200 without a body for what is on disk, and no 2xx for what is not."""
    source, post = PeopleCounter(), _post(b"")
    assert (200, b"") == (source.accepted(post).status, source.accepted(post).body)
    assert (503, b"") == (source.refused(post).status, source.refused(post).body)


# --- any bytes


GOOD = _push(_count(Enters=3, Exits=1, Passings=4, Returns=0))


@given(st.binary(max_size=300).map(lambda noise: b"<Metrics" + noise))
def test_noise_is_unreadable_or_a_reading(body: bytes) -> None:
    """Nothing but `Unreadable` comes out of a body that is noise behind our name."""
    try:
        reading = _read(body)
    except Unreadable:
        return
    assert reading.events


@given(at=st.integers(0, len(GOOD)), length=st.integers(0, 30), noise=st.text(max_size=6))
def test_damage_is_unreadable_or_a_reading(at: int, length: int, noise: str) -> None:
    """Nothing but `Unreadable` comes out of a push with a piece replaced, and every revision is a safe number."""
    try:
        reading = _read((GOOD[:at] + noise + GOOD[at + length :]).encode("utf-8", "surrogatepass"))
    except Unreadable:
        return
    assert reading.events
    assert all(0 <= event.revision < 2**53 for event in reading.events)
    json.dumps([event.data for event in reading.events], allow_nan=False)


_VALUES = st.one_of(
    st.integers(-(2**33), 2**33).map(str), st.text(st.characters(exclude_categories=["C"]), max_size=12)
)


@given(st.dictionaries(st.sampled_from(["StartTime", "EndTime", "UnixStartTime", *NUMBERS]), _VALUES))
def test_a_number_is_kept_exactly_or_the_body_is_unreadable(stated: dict[str, str]) -> None:
    """A count leaves the source only as the very whole number that the device wrote."""
    listed = "".join(f' {name}="{escape(value, {chr(34): "&quot;"})}"' for name, value in stated.items())
    try:
        event = _only(_push(f"<Count{listed}/>"))
    except Unreadable:
        return
    for name in NUMBERS:
        if name in stated:
            assert int(stated[name]) == event.data[name.lower()]
            assert 0 <= event.data[name.lower()] < 2**31
        else:
            assert name.lower() not in event.data


# --- identity and order


@given(st.permutations(range(4)))
def test_the_order_of_objects_does_not_matter(order: list[int]) -> None:
    """The same Objects in another order give the same events."""
    objects = [
        f'<Object Id="{n % 2}" ObjectType="{n // 2}" Name="count">{_count(Enters=n)}</Object>'
        for n in range(4)
    ]
    expected = _read(_push("".join(objects))).events
    shuffled = _read(_push("".join(objects[n] for n in order))).events
    assert sorted(expected, key=repr) == sorted(shuffled, key=repr)
    assert len({event.id for event in expected}) == 4


@given(st.randoms(use_true_random=False))
def test_names_are_matched_without_case(random) -> None:
    """The spelling of element and attribute names in capital or small letters changes nothing."""
    names = {name: "".join(random.choice((c.lower(), c.upper())) for c in name) for name in _names(GOOD)}
    other = re.sub(r"(</?|\s)(\w+)(?=[\s=>/])", lambda match: match[1] + names[match[2]], GOOD)
    assert _read(GOOD) == _read(other)


def _names(body: str) -> list[str]:
    return sorted({match[1] for match in re.finditer(r"(?:</?|\s)(\w+)(?=[\s=>/])", body)})


def test_an_event_does_not_depend_on_when_and_whence_it_came() -> None:
    """A resend from another address an hour later has the same id, revision and content."""
    first = _only(GOOD)
    again = _only(GOOD, address="10.0.0.1", received_at=RECEIVED + timedelta(hours=1), path="/x")
    assert first == replace(again, device=replace(again.device, address=first.device.address))


@given(
    sent=st.integers(1, 2**32 - 1),
    later=st.integers(1, 2**32 - 1),
    people=st.lists(st.integers(0, 2**20 - 2)),
)
def test_a_later_transmission_has_the_higher_revision(sent: int, later: int, people: list[int]) -> None:
    """The transmission that was sent later wins whatever it counted; in the same second the bigger sum wins."""
    sent, later = sorted((sent, later))
    most, least = (max(people, default=1) + 1, min(people, default=0))
    one = _only(_push(_count(Enters=most), root="RTMetrics", sent=sent))
    other = _only(_push(_count(Enters=least), root="RTMetrics", sent=later))
    assert one.id == other.id
    assert (sent < later) == (one.revision < other.revision)
    assert 0 <= one.revision < 2**53


def test_without_a_transmit_time_the_bigger_sum_is_the_newer_one() -> None:
    """A dialect without TransmitTime still lets a grown window replace the one before it."""
    revisions = [_only(_push(_count(Enters=n), sent=None)).revision for n in (0, 1, 5)]
    assert revisions == sorted(set(revisions))


def test_the_views_of_the_same_people_are_never_added_up() -> None:
    """Total, adult and child of one window are three events that move three different tallies."""
    objects = "".join(
        f'<Object Id="0" ObjectType="{n}" Name="count">{_count(Enters=5 - n)}</Object>' for n in range(3)
    )
    events = _read(_push(objects)).events
    moved = [list(tallies(event.kind, event.data)) for event in events]
    assert [[("enters", 5)], [("adult_enters", 4)], [("child_enters", 3)]] == moved
    assert len({event.id for event in events}) == 3


def test_a_missing_number_stays_missing() -> None:
    """A dialect without Passings and Returns gives events without them, not with zeros."""
    data = _only(_push(_count(Enters=0, Exits=2))).data
    assert (0, 2) == (data["enters"], data["exits"])
    assert not {"passings", "returns"} & data.keys()


def test_a_push_without_windows_is_a_sign_of_life() -> None:
    """A push that counts nothing still tells that the device is there, at the time that the device states."""
    event = _only(_push('<Object Id="0" ObjectType="0" Name="count"/>', root="RTMetrics"))
    assert (Kind.HEARTBEAT, ZoneRule.UNIX) == (event.kind, event.zone_rule)
    assert datetime.fromtimestamp(START + 70, UTC) == event.time == event.sent_at
    assert "real_time" == event.data["mode"]


def test_the_heartbeat_of_an_increment_counter_is_real_time() -> None:
    """Metrics with Interval 0 and no window comes from a device that pushes in real time."""
    body = _push('<Object Id="0"/>').replace('Interval="1"', 'Interval="0"')
    assert "real_time" == _only(body).data["mode"]


# --- secrets, personal and unknown things


_PASSWORD_NAMES = (
    *("WifiPassword", "wifipassword", "WIFIPASSWORD", "Wifi_Password", "WiFi-PassWord", "WlanPassword"),
    *("Password", "passwd", "WifiPwd", "WifiKey", "WifiPassphrase", "PSK", "WPA2PSK", "WifiPass"),
)


@given(
    name=st.sampled_from(_PASSWORD_NAMES),
    tail=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12),
    place=st.sampled_from(["property", "nested", "child", "root", "count", "object", "outside", "raw"]),
    root=st.sampled_from(["Metrics", "RTMetrics", "Diags"]),
)
@settings(max_examples=300)
def test_a_wifi_password_never_leaves_the_source(name: str, tail: str, place: str, root: str) -> None:
    """Wherever and however a Wi-Fi password is stated, it is in no event and in no reason of a refusal."""
    secret = "Zq7xw" + tail
    safe = escape(secret, {'"': "&quot;"})
    element = f"<{name}>{secret if place == 'raw' else safe}</{name}>"
    attribute = f' {name}="{safe}"'
    body = {
        "property": GOOD.replace("</Properties>", element + "</Properties>"),
        "raw": GOOD.replace("</Properties>", element + "</Properties>"),
        "nested": GOOD.replace(
            "</Properties>", f"<Net><{name}><Value>{safe}</Value></{name}></Net></Properties>"
        ),
        "child": GOOD.replace("</Properties>", f"<Net{attribute}>{element}</Net></Properties>"),
        "root": GOOD.replace("<Metrics", "<Metrics" + attribute),
        "count": GOOD.replace("<Count", "<Count" + attribute),
        "object": GOOD.replace("<Count", element + "<Count"),
        "outside": GOOD.replace("</Metrics>", element + "</Metrics>"),
    }[place].replace("Metrics", root)
    try:
        shown = _everything(_read(body))
    except Unreadable as error:
        shown = str(error) + repr(error.__context__)
        assert place == "raw", "only a password that breaks the XML may make the body unreadable"
    assert "Zq7xw" not in shown


@pytest.mark.parametrize(
    "stated",
    [
        '<Property Name="{n}" Value="{v}"/>',
        '<Property Value="{v}" Name="{n}"/>',
        '<Setting key="{n}">{v}</Setting>',
        "<Param><Name>{n}</Name><Value>{v}</Value></Param>",
        "<Param><Value>{v}</Value><Name>{n}</Name></Param>",
        "<Param><{n}/><Value>{v}</Value></Param>",
        '<Param><A><Id n="{n}"/></A><B><Value>{v}</Value></B></Param>',
        "<Name>{n}</Name><Value>{v}</Value>",
        "<Value>{v}</Value><ParamName>{n}</ParamName>",
    ],
)
@pytest.mark.parametrize("name", ["WifiPassword", "WifiKey", "pin", "PSK", "WlanPass", "maleNum"])
@pytest.mark.parametrize("place", ["</Properties>", "</Object>", "</Report>", "</ReportData>", "</Metrics>"])
def test_a_secret_that_is_stated_as_name_and_value_never_leaves_the_source(
    stated: str, name: str, place: str
) -> None:
    """Where the name of a secret stands beside its value, in whatever order, neither is kept; the rest of the push is."""
    body = GOOD.replace(place, stated.format(n=name, v="Zq7xw") + place).replace(
        "<Report ", "<Report Mood='fine' "
    )
    event = _only(body)
    assert "Zq7xw" not in _everything(_read(body))
    assert {"Report.Mood": "fine"} == event.data["extra"]


@pytest.mark.parametrize("tag", ["Metrics", "ReportData", "Report", "Object", "Count", "Timezone"])
def test_a_secret_that_two_attributes_state_never_leaves_the_source(tag: str) -> None:
    """An unknown attribute may hold the name of the secret that stands in the next one."""
    for stated in ('key="WifiKey" value="Zq7xw"', 'value="Zq7xw" param="door pin"'):
        assert "Zq7xw" not in _everything(_read(re.sub(f"<{tag}(?=[ >])", f"<{tag} {stated}", GOOD)))
    named = GOOD.replace('Name="count"', 'Name="pin" Value="Zq7xw"')
    assert "Zq7xw" not in _everything(_read(named))


def test_a_value_that_only_sounds_like_a_secret_is_kept() -> None:
    """A text that stands alone is no name of anything, and a secret with a name of its own takes nobody with it."""
    extra = _only(_push(_count(more=' lens="Keyence"'), Place="Turkey", WifiKey="x", Mood="fine")).data[
        "extra"
    ]
    assert {"Place": "Turkey", "Mood": "fine", "lens": "Keyence"} == extra


def _heavy_names(long: str, elements: int) -> bytes:
    """An element of a long name with elements of most attributes in it, as it would stand in a push of one minute."""
    attributes = "".join(f' b{number}=""' for number in range(128))
    unknown = f"<{long}>" + f"<a{attributes}/>" * elements + f"</{long}>"
    return GOOD.replace("</Properties>", unknown + "</Properties>").encode()


@pytest.mark.parametrize(
    ("long", "elements"),
    [("wifi" * 1015 + "key", 2), ("wifi" * 63 + "key", 200), ("wifi" * 1015, 200), ("w" * 40_000, 200)],
)
def test_looking_for_secrets_in_names_takes_no_time(long: str, elements: int) -> None:
    """Names that begin like that of a network again and again cost no more than others, however often repeated."""
    began = time.process_time()  # of CPU: the first took 5.5 s, and takes some milliseconds
    _read(_heavy_names(long, elements))
    assert time.process_time() - began < 1.0


def test_what_is_left_out_of_one_push_is_looked_at_a_bounded_number_of_times(monkeypatch) -> None:
    """However many unknown names a push has that nothing is kept of, only so many are looked at."""
    looked = []
    letters = leftovers._letters
    monkeypatch.setattr(leftovers, "_letters", lambda text: looked.append(text) or letters(text))
    element = "<a>" + "".join(f"<b c{number}=''/>" for number in range(50)) + "<key/></a>"
    _read(GOOD.replace("</Properties>", element * 1_000 + "</Properties>"))
    assert leftovers.MOST_LEFT_OUT <= len(looked) <= 2 * (leftovers.MOST_LEFT_OUT + 51) < 51 * 1_000
    looked.clear()
    _read(GOOD.replace("</Properties>", "<key/>" * 20_000 + "</Properties>"))
    assert leftovers.MOST_LEFT_OUT <= len(looked) <= 2 * leftovers.MOST_LEFT_OUT
    looked.clear()
    _read(GOOD.replace("</Properties>", "<id>a</id>" * 20_000 + "</Properties>"))
    assert len(looked) < 100
    looked.clear()
    _read(_heavy_names("a", 200))  # one of so many parts is not kept, and not looked at
    assert len(looked) < 100


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("wlanMode", True),
        ("wlanWpaMode", True),
        ("codeOfWlan", True),
        ("wlanPass", False),
        ("wlan2Wifi5AuthMode", False),
        ("myWep40BitCode", False),
        ("x" * 250, True),
        ("x" * 257, False),
        ("x" * 300 + "key", False),
    ],
)
def test_a_name_tells_of_a_secret_wherever_it_says_so(name: str, kept: bool) -> None:
    """What is said behind the name of a network counts, however much stands between; a name too long to keep is not kept."""
    shown = _everything(_read(_push(_count(), **{name: "Zq7xw"})))
    assert kept == ("Zq7xw" in shown)


def test_the_wifi_network_is_not_kept() -> None:
    """The name of the site's network stays behind with its password."""
    assert "pier-net" not in _everything(_read(_push(_count(), WifiSSID="pier-net")))


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ((), set()),
        (("gender",), {"gender"}),
        (("age", "name"), {"age"}),
        (("age", "gender"), {"age", "gender"}),
    ],
)
def test_gender_and_age_leave_only_when_they_are_listed(keep: tuple[str, ...], expected: set[str]) -> None:
    """Numbers about gender and age are personal, and each is dropped unless the configuration lists it."""
    window = f'StartTime="18:00:00" EndTime="18:00:01" UnixStartTime="{START}"'
    body = _push(
        f'<Object Id="0" ObjectType="3" Name="count"><GenderCount {window} maleNum="7001" otherNum="7002"/>'
        f'<AgeCount {window} age17to30Num="7003"/><EmotionCount {window} happyNum="7004"/></Object>'
    )
    (event,) = PeopleCounter(frozenset(keep)).parse(_post(body)).events
    assert expected == set(event.personal)
    assert "demographics" == event.data["view"]
    assert "700" not in json.dumps(event.data)
    assert [] == list(tallies(event.kind, event.data))


def test_the_revision_does_not_depend_on_what_is_kept() -> None:
    """Switching a personal field on does not change ids and revisions, so it cannot double a count."""
    window = f'StartTime="18:00:00" EndTime="18:00:01" UnixStartTime="{START}"'
    body = _push(f'<Object Id="0" ObjectType="3" Name="count"><GenderCount {window} maleNum="3"/></Object>')
    (with_it,) = PeopleCounter(frozenset({"gender"})).parse(_post(body)).events
    without = _only(body)
    assert (without.id, without.revision) == (with_it.id, with_it.revision)


def test_unknown_things_are_kept_raw_and_bounded() -> None:
    """At most 32 unknown things of at most 256 characters travel with an event."""
    unknown = "".join(f"<New{n}>{'v' * 1000}</New{n}>" for n in range(100))
    extra = _only(GOOD.replace("</Properties>", unknown + "</Properties>")).data["extra"]
    assert 32 == len(extra)
    assert {"v" * 256} == set(extra.values())


def test_unknown_things_stay_bounded_when_a_window_is_repeated() -> None:
    """Stating one window many times, each time with something new, does not let its event grow."""
    counts = "".join(_count(more=f' new{n}="1"') for n in range(100))
    assert 32 == len(_only(_push(counts)).data["extra"])


def test_unknown_things_are_not_multiplied_by_the_windows() -> None:
    """What a push says once is kept once, however many windows it has: a body cannot make itself bigger."""
    counts = "".join(_count(unix=START + 60 * n, Enters=1) for n in range(50))
    body = _push(counts).replace("</Properties>", f"<New>{'v' * 200}</New></Properties>")
    events = _read(body).events
    assert 50 == len(events)
    assert ["New"] == [name for event in events for name in event.data.get("extra", ())]


def test_texts_of_the_device_are_cut_and_made_printable() -> None:
    """A name with control or reordering characters, or of any length, leaves the source short and printable."""
    body = GOOD.replace('DeviceId="door-2"', 'DeviceId="a&#x9;b\u202ec"').replace("Pier", "x" * 5000)
    device = _only(body).device
    assert "a\ufffdb\ufffdc" == device.label
    assert "x" * 256 == device.site


# --- time


ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
# Whole minutes around the two changes of clocks of the year in Berlin, New York and Lord Howe, and any other.
MINUTES = st.one_of(
    st.integers(0, 2**32 // 60 - 10**5),
    *(
        st.integers(-200, 200).map(lambda n, at=at: at // 60 + n)
        for at in (1743296400, 1761440400, 1741503600, 1762063200, 1743865200, 1759591800)
    ),
)


def _label(at: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(at, zone):%H:%M:%S}"


@given(minute=MINUTES, name=ZONES)
def test_a_minute_is_a_minute_through_every_change_of_clocks(minute: int, name: str) -> None:
    """A window of one minute that a counter labels in the site's time ends one minute after it began."""
    zone, start = ZoneInfo(name), minute * 60 + 60
    count = _count(unix=start, at=_label(start, zone), to=_label(start + 60, zone))
    event = _only(_push(count, sent=start + 65), zone=zone)
    assert (start, start + 60) == (event.time.timestamp(), event.end.timestamp())
    assert event.data["complete"] is True


@given(minute=MINUTES, name=ZONES)
def test_local_time_is_understood_through_every_change_of_clocks(minute: int, name: str) -> None:
    """Without Unix time, the site's zone and the time of sending give the true beginning and end."""
    zone, start = ZoneInfo(name), minute * 60 + 60
    count = _count(unix=None, at=_label(start, zone), to=_label(start + 60, zone))
    date = f"{datetime.fromtimestamp(start, zone):%Y-%m-%d}"
    event = _only(_push(count, sent=start + 65, date=date), zone=zone)
    assert (start, start + 60) == (event.time.timestamp(), event.end.timestamp())
    assert ZoneRule.SITE_ZONE == event.zone_rule


def test_a_window_that_is_sent_before_its_end_is_not_complete() -> None:
    """The unfinished minute is marked, by the time of sending or, without one, by the time of receipt."""
    assert _only(_push(_count(), sent=START + 60)).data["complete"] is True
    assert _only(_push(_count(), sent=START + 59)).data["complete"] is False
    end = datetime.fromtimestamp(START + 60, UTC)
    assert _only(_push(_count(), sent=None), received_at=end).data["complete"] is True
    early = end - timedelta(seconds=1)
    assert _only(_push(_count(), sent=None), received_at=early).data["complete"] is False


@pytest.mark.parametrize(
    ("zone", "timezone", "count", "codes"),
    [
        (None, "8", _count(), []),
        (None, "1", _count(), ["zone_disagrees"]),
        ("Asia/Shanghai", "1", _count(), []),  # Unix time and the site's zone agree, and they are what counts
        ("Asia/Shanghai", "8", _count(unix=0), []),
        ("Asia/Shanghai", "1", _count(unix=0), ["zone_disagrees"]),
        ("Asia/Shanghai", "", _count(unix=0), []),
        (None, "", _count(unix=0), ["clock_missing"]),
        (None, "", _count(), []),
        (
            None,
            "8",
            _count() + _count(unix=START + 60, at="18:01:00", to="18:01:00"),
            ["window_without_length"],
        ),
    ],
)
def test_doubts_about_the_clock_are_said_once(zone, timezone: str, count: str, codes: list[str]) -> None:
    """Each doubt about a device's clock is one notice of the push, and there is none without a doubt."""
    reading = _read(_push(count + count, Timezone=timezone), zone=ZoneInfo(zone) if zone else None)
    assert codes == [notice.code for notice in reading.notices]


@given(hours=st.integers(-12, 14), summer=st.sampled_from([None, 0, 1]))
def test_the_device_offset_is_timezone_and_dst(hours: int, summer: int | None) -> None:
    """Without a configured zone, local time is read with Timezone and DST hours added up."""
    extra = {} if summer is None else {"DST": str(summer)}
    event = _only(_push(_count(unix=0), Timezone=str(hours), **extra))
    offset = hours + (summer or 0)
    assert ZoneRule.DEVICE_OFFSET == event.zone_rule
    assert offset * 60 == event.device.utc_offset_min
    assert datetime(2025, 11, 1, 18, tzinfo=UTC) - timedelta(hours=offset) == event.time


@pytest.mark.parametrize("timezone", ["480", "Asia/Shanghai", "+8:00", "99", "1e1"])
def test_a_timezone_that_is_not_hours_is_not_used(timezone: str) -> None:
    """A Timezone that cannot be hours is no offset, and stays visible as it is."""
    event = _only(_push(_count(), Timezone=timezone))
    assert event.device.utc_offset_min is None
    assert timezone == event.data["extra"]["Timezone"]
