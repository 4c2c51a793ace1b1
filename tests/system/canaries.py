"""One table of what must not leave: a canary for each personal and secret field of every protocol that is pushed.

To add a protocol, write a function that gives its `Pushes` and name it in `PROTOCOLS`. A canary is a text or number
that is found nowhere else. Those in `Pushes.listable` may be listed by a sink; the others can be switched on by nobody.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

HEADER_SECRET = "token CanaryHeaderValue0123456789"
FACE = b"\xff\xd8\xff\xe0" + b"CanaryFacePixels" * 60 + b"\xff\xd9"
FACE_TEXT = base64.b64encode(FACE).decode()
ALARM_FACE = b"\xff\xd8\xff\xe0" + b"CanaryAlarmPixels" * 60 + b"\xff\xd9"
ALARM_FACE_TEXT = base64.b64encode(ALARM_FACE).decode()


@dataclass(frozen=True)
class Push:
    body: bytes
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pushes:
    """What one protocol pushes, with canaries in it."""

    port: str  # "devices" or "callbacks"
    readable: Sequence[Push]
    secrets: Mapping[str, str]  # by field: nothing switches them on
    listable: Mapping[str, str] = field(default_factory=dict)  # by the name that a sink lists
    unknown: Mapping[str, str] = field(
        default_factory=dict
    )  # nobody can mask it in a body that nobody can read

    def unreadable(self) -> Sequence[Push]:
        """Give what a broken line, a new firmware or a person makes of the same bodies."""
        made: list[Push] = []
        for push in self.readable:
            body = push.body
            wrongs = [body[: len(body) * 9 // 10], b"%%% " + body, body + b" }]", b'{"wrapped":' + body]
            if body.startswith(b"{"):
                wrongs.append(json.dumps({"text": body.decode()}).encode())
                wrongs.append(body.replace(b'"type"', b'"tipo"').replace(b'"data"', b'"dados"'))
            made += [Push(wrong, push.path, push.headers) for wrong in wrongs]
        return made


def counter() -> Pushes:
    root = """<?xml version="1.0" encoding="utf-8"?><{root} SiteId="s" SiteName="S" DeviceId="d-1" DeviceName="D">
<Properties><Version>1</Version><TransmitTime>1761991230</TransmitTime><MacAddress>4C:BC:98:00:00:01</MacAddress>
<ConnectionType>Wifi</ConnectionType><WifiSSID>CanarySsid</WifiSSID><WifiPassword>CanaryWifiKey</WifiPassword>
<SerialNumber>200000000000000001</SerialNumber><UploadUrl>https://CanaryLogin:CanaryPass@up.example/x?key=CanaryUrlKey</UploadUrl>
<StreamUri>rtsp://CanaryRtsp:x@10.0.0.9/1</StreamUri><AdminPassword>CanaryAdmin</AdminPassword>
<LogFile>C:\\Users\\CanaryWindowsUser\\log.txt</LogFile><Note>see http://CanaryNote:pw@h/?token=CanaryNoteToken</Note>
</Properties>{windows}</{root}>"""
    ages = ("Less10", "10to16", "17to30", "31to45", "46to60", "Over60")
    counted = " ".join(f'age{span}Num="{481519 + n}"' for n, span in enumerate(ages))
    windows = """<ReportData Interval="0"><Report Date="2025-11-01"><Object Id="0" ObjectType="0" Name="count">
<Count StartTime="18:00:00" EndTime="18:01:00" UnixStartTime="1761991200" Enters="3" Exits="0" Status="0"/></Object>
<Object Id="0" ObjectType="3" Name="count">
<GenderCount StartTime="18:00:00" EndTime="18:01:00" UnixStartTime="1761991200" maleNum="481516" femaleNum="481517"
 unknownGenderNum="481518" Status="0"/>
<AgeCount StartTime="18:00:00" EndTime="18:01:00" UnixStartTime="1761991200" {ages} unknownAgeNum="481525" Status="0"/>
</Object></Report></ReportData>""".replace("{ages}", counted)
    return Pushes(
        "devices",
        [
            Push(root.format(root="Diags", windows="").encode(), "/feed/CanaryPath0123456789abcdef/x"),
            Push(
                root.format(root="Metrics", windows=windows).encode(), "/x?key=CanaryQuery&token=CanaryQuery2"
            ),
        ],
        {
            name: f"Canary{name}"
            for name in (
                *("Ssid", "WifiKey", "Login", "Pass", "UrlKey", "Rtsp", "Admin", "WindowsUser", "Note"),
                *("NoteToken", "Path0123456789abcdef", "Query"),
            )
        },
        {"gender": "481516", "age": "481519"},
    )


def terminal() -> Pushes:
    user = {
        "name": "CanaryName",
        "user_id": "CanaryUserId",
        "type": 1,
        "ic_number": "CanaryIcNumber",
        "job_number": "CanaryJobNumber",
        "id_number": "CanaryIdNumber",
        "guest_time_start": 1761991201481,
        "guest_time_end": 1761991202481,
        "remark": "CanaryRemark",
        "pin": "CanaryPin",
        "groups": [{"id": "CanaryGroupId", "name": "CanaryGroup"}],
        "new_field": "CanaryNewUserField",
    }
    record = {
        "deviceSN": "SPT1",
        "recognitionType": 1,
        "uuid": "11111111-2222-4333-8444-555555555555",
        "recognizeScore": 0.7264152347,
        "mask": 726415237,
        "mode": 0,
        "rgb_image": FACE_TEXT,
        "pass": True,
        "timestamp": 1761991200,
        "bodyTemperature": 36.726415238,
        "entry_mode": 1,
        "abnormal_type": 0,
        "user": user,
        "new_field": "CanaryNewField",
    }
    alarm = {
        "trace_id": "t-1",
        "description": "forced by CanaryAlarmWords, camera at rtsp://CanaryAlarmLogin:x@10.0.0.9/1",
        "code": 10001,
        "user_id": 726415239,
        "event_time": 1761991203123,
        "status": 1,
        "alarm_photo": ALARM_FACE_TEXT,
    }
    headers = {"sn": "SPT1", "account": "CanaryAccount", "Authorization": "CanaryAuthorization"}
    return Pushes(
        "devices",
        [
            Push(json.dumps({"type": 0, "data": record}).encode(), "/Record", headers),
            Push(json.dumps({"type": 1, "data": alarm}).encode(), "/Record", headers),
        ],
        {
            "pin": "CanaryPin",
            "rgb_image": FACE_TEXT[40:100],
            "rgb_image, decoded": "CanaryFacePixels",
            "alarm_photo": ALARM_FACE_TEXT[40:100],
            "alarm_photo, decoded": "CanaryAlarmPixels",
            "description": "CanaryAlarmLogin",
            "header account": "CanaryAccount",
            "header Authorization": "CanaryAuthorization",
        },
        {
            "name": "CanaryName",
            "user_id": "CanaryUserId",
            "job_number": "CanaryJobNumber",
            "ic_number": "CanaryIcNumber",
            "id_number": "CanaryIdNumber",
            "remark": "CanaryRemark",
            "temperature": "36.726415238",
            "mask": "726415237",
            "score": "0.7264152347",
            "groups": "CanaryGroup",
            "guest_time": "01.481Z",
            "description": "CanaryAlarmWords",
        },
        {"a new field of the user": "CanaryNewUserField", "a new field": "CanaryNewField"},
    )


def camio() -> Pushes:
    entry = {
        "badge_id": "CanaryBadge",
        "cardholder_key": "CanaryCardholder",
        "usr": "CanaryCamioUsr",
        "description": "Access granted to CanaryCamioSentence",
        "controller_id": 1,
        "event_type": 4,
        "device_name": "Roof",
        "timestamp": "2026-11-21T11:47:33.000000",
        "pin": "CanaryCamioPin",
        "stream_uri": "rtsp://CanaryCamioRtsp:x@h/1",
        "password": "CanaryCamioPassword",
        "headers": {"Authorization": "CanaryCamioQuoted"},
        "camio_metadata": {
            "entry_id": "1_1",
            "date": "2026-11-21T11:47:33.000-0000",
            "labels": ["entry.ajar"],
        },
    }
    account = {"email": "CanaryCamioMail@pier.example", "user_id": "CanaryCamioUser"}
    door = {"user": account, "domain": "pier.example", "events": [entry], "source_server": "doors:443"}
    incident = {
        "user": account,
        "incident": {
            "camera_name": "North",
            "date": "2025-04-30T19:13:42.317-0000",
            "type": "incident",
            "counter_events": {
                "events_purged_count": {"counter": "events_purged_count", "description": "bad", "value": 4}
            },
        },
    }
    hook = {
        "user": account,
        "hook": {
            "url": "https://CanaryHook:x@h/?api_key=CanaryHookKey",
            "headers": {"A": "CanaryHookHeader"},
        },
    }
    bodies = [
        {"id": f"00000000-0000-4000-8000-00000000000{n}", "type": kind, "data": {"object": content}}
        for n, (kind, content) in enumerate(
            (("pacs.events.created", door), ("incident.created", incident), ("hook.created", hook))
        )
    ]
    return Pushes(
        "callbacks",
        [Push(json.dumps(body).encode(), "/camio", {"Authorization": HEADER_SECRET}) for body in bodies],
        {
            "Authorization": "CanaryHeaderValue",
            **{name: f"CanaryCamio{name}" for name in ("Pin", "Rtsp", "Password", "Quoted")},
            "hook login": "CanaryHook:",
            "hook header": "CanaryHookHeader",
            "hook key": "CanaryHookKey",
        },
        {
            "pacs": "CanaryBadge",
            "pacs, cardholder": "CanaryCardholder",
            "pacs, usr": "CanaryCamioUsr",
            "pacs, sentence": "CanaryCamioSentence",
            "account": "CanaryCamioUser",
            "mail": "CanaryCamioMail",
        },
    )


@dataclass(frozen=True)
class Polled:
    """What one system answers that the gateway asks, with canaries in it."""

    config: str  # a section; {port} is where the stand-in listens, {directory} where its files are
    answers: Mapping[str, Sequence[bytes]]  # by path: one after the other, and the last for ever
    broken: Mapping[str, bytes]  # by path: an answer before these that nobody can read
    secrets: Mapping[str, str]
    listable: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def camlytics() -> Polled:
    channel = {
        "channel_id": "1",
        "name": "Hall",
        "type": "Onvif",
        "uri": "http://CanaryChannelUri:x@10.0.0.9/onvif",
        "stream_uri": "rtsp://10.0.0.9/CanaryStreamUri",
        "login": "CanaryChannelLogin",
        "password": "CanaryChannelPassword",
        "profile_token": "CanaryProfileToken",
    }
    event = {
        "event_id": 7,
        "type": "TripwireCrossed",
        "time": "2024-05-01T16:22:25.4330000",
        "timestamp": "12.5",
        "channel_id": "1",
        "channel_name": "Hall",
        "object_id": "17",
        "origin": "Pedestrian",
        "rule_id": "3",
        "rule_name": "Enter",
        "snapshot_path": "C:\\Users\\CanarySnapshotUser\\Camlytics\\7.jpg",
        "recording_path": "C:\\Users\\CanaryRecordingUser\\Camlytics\\7.mp4",
        "video_file_name": "C:\\Users\\CanaryVideoUser\\v.mp4",
        "token": "CanaryEventToken",
    }
    channels, events = json.dumps([channel]).encode(), json.dumps([event]).encode()
    broken = json.dumps([event | {"event_id": 8, "time": "never"}]).encode()
    return Polled(
        """
[camlytics.hall]
endpoint = "http://127.0.0.1:{port}"
zone = "Europe/Lisbon"
period_s = 0.1
wait_s = 0
rules = [{{ rule = "Enter", direction = "in" }}]
""",
        {
            "/v1/json/channels": [channels],
            "/v1/json/events": [events, broken, b"[]"],
        },
        {"/v1/json/channels": channels[:-9], "/v1/json/events": events[:-4]},
        {
            name: f"Canary{name}"
            for name in (
                *("ChannelUri", "StreamUri", "ChannelLogin", "ChannelPassword", "ProfileToken"),
                *("SnapshotUser", "RecordingUser", "VideoUser", "EventToken"),
            )
        },
    )


def camlytics_cloud() -> Polled:
    def answer(*items: dict) -> bytes:
        return json.dumps({"msg": "", "code": 0, "result": list(items)}).encode()

    location = {
        "id": 32,
        "name": "Pier",
        "version": 1,
        "timezone_offset": "+01:00",
        "hash": "CanaryLocationHash",
    }
    event = {
        "id": 5,
        "record_id": 6,
        "event_type": "TripwireCrossed",
        "event_time": "2025-03-04T05:06:07.000+00:00",
        "trigger_id": 9,
        "channel_id": "1",
        "location_id": 32,
        "object_id": 4,
        "snapshot_id": -1,
        "origin": "Face",
        "suborigin": "",
        "age_range": "CanaryAgeRange",
        "gender": "CanaryGender",
    }
    events = answer(event)
    return Polled(
        """
[camlytics_cloud.office]
endpoint = "http://127.0.0.1:{port}"
insecure_http = true
key_file = "{directory}/cloud-key"
secret_file = "{directory}/cloud-secret"
period_s = 2
""",
        {
            "/service/api/v1/locations": [answer(location)],
            "/service/api/v1/events": [events, answer()],
            "/service/api/v1/channels": [answer()],
        },
        {"/service/api/v1/locations": answer(location)[:-9], "/service/api/v1/events": events[:-4]},
        {"hash": "CanaryLocationHash", "key": "CanaryCloudKey0123", "secret": "CanaryCloudSecret0123"},
        {"age_range": "CanaryAgeRange", "gender_seen": "CanaryGender"},
        {"cloud-key": "CanaryCloudKey0123", "cloud-secret": "CanaryCloudSecret0123"},
    )


POLLED = {"camlytics": camlytics, "camlytics_cloud": camlytics_cloud}
PROTOCOLS = {"counter": counter, "terminal": terminal, "camio": camio}
