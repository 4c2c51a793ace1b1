"""The note by which avahi shows the box names the port that the box has without any configuration."""

from pathlib import Path
from xml.etree import ElementTree as ET

from gateway.config import Config

NOTE = Path(__file__).parents[2] / "packaging/deb/files/etc/avahi/services/site-gateway.service"


def test_the_note_names_the_device_port():
    """It is well-formed, and its port is the default of [listen]."""
    group = ET.fromstring(NOTE.read_text("utf-8"))
    assert "service-group" == group.tag
    assert ["_http._tcp"] == [one.text for one in group.iterfind("service/type")]
    assert [str(Config().listen.port)] == [one.text for one in group.iterfind("service/port")]
