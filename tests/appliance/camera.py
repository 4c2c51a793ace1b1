"""Runs inside the box, on its own Python: a counter and a terminal that say each thing again until it is answered.

    camera.py NAME MINUTES      a counter that tells so many minutes, one push each
    camera.py NAME --while FILE      a counter that goes on as long as the file is there
    camera.py NAME MINUTES --faces      a terminal instead

Prints one JSON object: what was answered, and how often a try was refused or got another answer.
"""

import json
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

_XML = """<?xml version="1.0" encoding="utf-8"?>
<Metrics SiteId="s" SiteName="Shop" DeviceId="{name}" DeviceName="{name}">
  <Properties><Version>1</Version><TransmitTime>{sent}</TransmitTime><Timezone>0</Timezone><DST>0</DST>
    <SerialNumber>{name}</SerialNumber></Properties>
  <ReportData Interval="1"><Report Date="{date}">
    <Object Id="0" ObjectType="0" Name="count">
      <Count StartTime="{start}" EndTime="{end}" UnixStartTime="{at}" Enters="{enters}" Exits="1" Status="0" />
    </Object>
  </Report></ReportData>
</Metrics>"""


def counted(name: str, number: int) -> tuple[str, str, bytes]:
    """Give what is said of one minute: its mark, its content type and its body."""
    at = int(time.time()) // 86400 * 86400 - 2 * 86400 + number * 60
    day, start, end = (
        time.strftime(form, time.gmtime(second))
        for form, second in (("%Y-%m-%d", at), ("%H:%M:%S", at), ("%H:%M:%S", at + 60))
    )
    body = _XML.format(
        name=name, sent=int(time.time()), date=day, start=start, end=end, at=at, enters=number % 7
    )
    return f"{name} {at}", "application/xml", body.encode()


def seen(name: str, number: int) -> tuple[str, str, bytes]:
    """Give what a terminal says of one person that passed."""
    mark = f"{name}-{number:04d}-4b1d-9c10-3f2a7d5b6e01"
    user = {"user_id": str(number), "type": 1, "name": "Somebody"}
    data = {
        "deviceSN": name,
        "recognitionType": 1,
        "entry_mode": 1,
        "abnormal_type": 0,
        "uuid": mark,
        "mode": 3,
    }
    data |= {"pass": True, "timestamp": int(time.time()) - number, "rgb_image": "", "user": user}
    return mark, "application/json", json.dumps({"type": 0, "data": data}).encode()


def main() -> None:
    name, how_long, *more = sys.argv[1:]
    say = seen if more == ["--faces"] else counted
    told: dict = {"answered": [], "refused": 0, "other": 0}
    number = 0
    while Path(more[0]).exists() if how_long == "--while" else number < int(how_long):
        mark, kind, body = say(name, number)
        while True:
            try:
                link = HTTPConnection("127.0.0.1", 8088, timeout=60)
                link.request("POST", "/push", body, {"Content-Type": kind})
                answer = link.getresponse()
                answer.read()
                link.close()
            except (OSError, HTTPException):
                told["refused"] += 1
            else:
                if answer.status == 200:
                    break
                told["other"] += 1
            time.sleep(0.05)
        time.sleep(
            0.02
        )  # far more often than any counter, and something is left of the processor for the rest of the box
        told["answered"].append(mark)
        number += 1
        Path(f"/answered-{name}").write_text(str(number))
    print(json.dumps(told))


main()
