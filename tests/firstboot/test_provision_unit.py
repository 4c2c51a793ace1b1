"""The units that take a card over: what they may do, in which order they run, and that the page says the same."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from card_box import PASSWORD, TOML

from gateway.commands.provisioning import _CARDS, provision

ROOT = Path(__file__).parents[2]
UNITS = [ROOT / "systemd" / f"gateway-provision{part}.service" for part in ("", "-address")]
WORST_TENTHS = 12


def settings(unit: Path) -> list[str]:
    return [line for line in unit.read_text("utf-8").splitlines() if line and not line.startswith("#")]


def value(unit: Path, name: str) -> str:
    (found,) = [line.partition("=")[2] for line in settings(unit) if line.startswith(f"{name}=")]
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_exposure_is_as_low_as_the_gateways(unit):
    """Systemd's own judgement is 1.2 or better, although both run as root."""
    if shutil.which("systemd-analyze") is None:
        pytest.fail("systemd-analyze is missing: apt-get install systemd, or make debian")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={WORST_TENTHS}", "--no-pager", unit],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Overall exposure level" in judged.stdout, judged.stderr
    assert 0 == judged.returncode, judged.stdout


def test_the_card_comes_before_the_gateway_and_needs_nothing():
    """The takeover is ordered before the gateway, once for each boot, and neither partition nor network is required."""
    first, second = UNITS
    assert ("oneshot", "yes", "gateway.service") == (
        value(first, "Type"),
        value(first, "RemainAfterExit"),
        value(first, "Before"),
    )
    assert [] == [line for line in settings(first) if re.match(r"(Requires|Wants|BindsTo|Condition)", line)]
    assert "network" not in value(first, "After")
    assert "network-online.target" in value(second, "After")
    assert "gateway-provision.service" in value(ROOT / "systemd" / "gateway.service", "After")


def test_both_units_may_do_the_same():
    """What the second unit may do is what the first may, line by line; only its command and its folder differ."""
    first, second = (settings(unit)[settings(unit).index("[Service]") :] for unit in UNITS)
    differing = [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]]
    assert ["ExecStart", "RuntimeDirectory"] == [one.partition("=")[0] for one, _ in differing]


def test_the_folders_are_those_of_the_command_and_the_page():
    """What the command looks at by default the units may write, and the page names the same; so with the variable."""
    (option,) = [one for one in provision.params if one.name == "folders"]
    page = (ROOT / "docs" / "first-boot.md").read_text("utf-8")
    for unit in UNITS:
        assert ["/etc/gateway", *(f"-{folder}" for folder in _CARDS)] == value(unit, "ReadWritePaths").split()
    assert all(f"`{folder}`" in page for folder in _CARDS)
    assert f"Environment={option.envvar}=" in page
    assert f"Environment={option.envvar}=" in UNITS[0].read_text("utf-8")


def test_root_needs_no_capability_for_it(box):
    """A root without a single capability, as in the unit, takes a card over and blanks it."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can give its capabilities away, with setpriv of util-linux")
    box.write(TOML)
    confined = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--"]
    done = subprocess.run(
        [*confined, sys.executable, "-m", "gateway", "-c", box.config, "provision"],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "GATEWAY_CARD": str(box.card)},
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    assert PASSWORD == box.loaded().sinks["broker"].password_file.reveal()
    assert "bearer-4711" not in box.everything_but_secrets()


def test_the_address_alone_takes_nothing_over(box):
    """The second unit changes neither settings nor card, and only brings the address up to date."""
    from gateway.firstboot import tell_address

    box.address = None
    box.write(TOML)
    assert "nothing" == tell_address((box.card,), box.config, lambda: "192.168.1.9").kind
    assert not box.config.exists()
    box.accepted()
    assert "unchanged" == tell_address((box.card,), box.config, lambda: "192.168.1.9").kind
    assert "http://192.168.1.9:8088/counter" in box.on_card("gateway-accepted.txt")
    box.write("[sinks")
    assert "nothing" == tell_address((box.card,), box.config, lambda: "192.168.1.9").kind
