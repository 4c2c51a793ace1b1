"""What the pages of both Camlytics tell an installer to type is a configuration that counts in the zone it names."""

import pytest
from pages import ROOT, blocks

from gateway.config import loads
from gateway.daemon.zones import zoning


@pytest.mark.parametrize("page", ["camlytics", "camlytics-cloud"])
def test_the_example_of_the_page_has_the_zone_that_its_rules_name(page, tmp_path, monkeypatch):
    """Typed as it stands, the zone of the rules exists."""
    text = "\n".join(blocks(f"{page}.md", "toml"))
    for name in ("camlytics-key", "camlytics-secret"):
        (tmp_path / name).write_text(f"{name}\n")
        (tmp_path / name).chmod(0o600)
    config = loads(text.replace("/etc/gateway/credentials", str(tmp_path)))
    assert ["zone-hall"] == [zone.id for zone in zoning(config).zones]


def test_both_pages_are_in_the_table_of_devices():
    """Who begins at devices.md finds them; each word of a refusal is explained once."""
    text = (ROOT / "docs" / "devices.md").read_text()
    assert "(camlytics.md)" in text and "(camlytics-cloud.md)" in text
    assert 1 == sum(line.startswith("| `tls_on_plain_port`") for line in text.splitlines())
