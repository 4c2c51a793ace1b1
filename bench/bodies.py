"""The two workloads, made in code from a seed: no captured data and no real picture.

W1 is a people counter's real-time push, W2 a face terminal's record with its picture. A body is a template
with fields of fixed width. Who sends what is said by two numbers: the device, and its turn. A turn moves the
counter's window by a minute and gives the terminal's record a new uuid, so every push is a new event.
"""

import base64
import json
import random
import re
import time
from dataclasses import dataclass

_FIELD = re.compile(r"@([A-Z]+)@")
_JPEG_HEAD = bytes.fromhex("ffd8ffe000104a46494600010100000100010000")
_JPEG_BYTES = 45_000
DAY_S = 86_400

_W1 = """\
<?xml version="1.0" encoding="utf-8"?>
<RTMetrics SiteId="site-01" SiteName="Bench" DeviceId="d-01" DeviceName="door">
<Properties>
<Version>1</Version>
<TransmitTime>@SENT@</TransmitTime>
<MacAddress>02:00:5E:00:10:01</MacAddress>
<IpAddress>192.0.2.10</IpAddress>
<ConnectionType>Wired</ConnectionType>
<IpAddressMethod>DHCP</IpAddressMethod>
<HostName>Cam-00001</HostName>
<Timezone>0</Timezone>
<DST>0</DST>
<HwPlatform></HwPlatform>
<SerialNumber>9000000000000@SERIAL@</SerialNumber>
<DeviceType>0</DeviceType>
<SwRelease></SwRelease>
</Properties>
<ReportData Interval="1">
<Report Date="@DATE@">
<Object Id="0" DeviceId="d-01" DeviceName="door" ObjectType="0" Name="count">
<Count StartTime="@START@" EndTime="@END@" UnixStartTime="@UNIX@" \
Enters="@ENTERS@" Exits="1" Passings="2" Returns="0" Status="0" />
</Object>
</Report>
</ReportData>
</RTMetrics>
"""


@dataclass(frozen=True)
class Workload:
    """One kind of push."""

    name: str
    content_type: str
    template: str

    @property
    def length(self) -> int:
        return len(self.body(device=0, turn=0, base=0, run="00000000"))

    def body(self, *, device: int, turn: int, base: int, run: str) -> bytes:
        """Fill the template; `push.lua` does the same."""
        start = base + 60 * turn
        fields = {
            "SERIAL": f"{device:05d}",
            "UNIX": f"{start:010d}",
            "SENT": f"{start + 57:010d}",
            "DATE": time.strftime("%Y-%m-%d", time.gmtime(start)),
            "START": time.strftime("%H:%M:%S", time.gmtime(start)),
            "END": time.strftime("%H:%M:%S", time.gmtime(start + 60)),
            "ENTERS": str(turn % 10),
            "NOW": f"{int(time.time()):010d}",
            "UUID": f"{run}-{device:04x}-4000-8000-{turn:012x}",
        }
        return _FIELD.sub(lambda found: fields[found[1]], self.template).encode()


def workloads(seed: int = 1) -> dict[str, Workload]:
    """Make both."""
    return {
        "W1": Workload("W1", "text/xml", _W1),
        "W2": Workload("W2", "application/json", _record(random.Random(seed))),
    }


def first_base() -> int:
    """Give a midnight so long ago that no run reaches today, and not so long that its days are not summed any more."""
    return (int(time.time()) // DAY_S - 300) * DAY_S


def _record(rng: random.Random) -> str:
    # Random bytes behind a JPEG's head: a JPEG is as incompressible as they are.
    picture = _JPEG_HEAD + rng.randbytes(_JPEG_BYTES - len(_JPEG_HEAD))
    user = {
        "name": "王小明 Ångström",
        "ic_number": "12345678",
        "id_number": "",
        "job_number": "J-1001",
        "pin": "",
        "user_id": "1001",
        "remark": "",
        "guest_time_start": 0,
        "guest_time_end": 0,
        "type": 1,
        "groups": [{"id": "3", "name": "Nachtschicht Süd"}, {"id": "4", "name": "访客"}],
    }
    data = {
        "deviceSN": "BENCH@SERIAL@",
        "recognitionType": 1,
        "entry_mode": 1,
        "abnormal_type": 0,
        "uuid": "@UUID@",
        "recognizeScore": 0.93,
        "mask": 0,
        "mode": 0,
        "rgb_image": base64.b64encode(picture).decode(),
        "bodyTemperature": 0.0,
        "pass": True,
        "timestamp": "@NOW@",
        "user": user,
    }
    text = json.dumps({"type": 0, "data": data}, ensure_ascii=False, separators=(",", ":"))
    return text.replace('"@NOW@"', "@NOW@")  # a number
