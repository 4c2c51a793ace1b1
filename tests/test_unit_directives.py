"""Every directive of the units against a table: none is lost, changed or added without a decision."""

import re
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[1] / "systemd"
_TOLD = {"Description", "Documentation"}  # for people; nothing depends on their words

CONFINED = """
UMask=0077 NoNewPrivileges=yes CapabilityBoundingSet= AmbientCapabilities= ProtectSystem=strict ProtectHome=yes
PrivateTmp=yes PrivateDevices=yes DevicePolicy=closed PrivateUsers=yes PrivateMounts=yes ProtectProc=invisible
ProtectClock=yes ProtectHostname=yes ProtectKernelLogs=yes ProtectKernelModules=yes ProtectKernelTunables=yes
ProtectControlGroups=yes RestrictNamespaces=yes RestrictRealtime=yes RestrictSUIDSGID=yes LockPersonality=yes
MemoryDenyWriteExecute=yes RemoveIPC=yes KeyringMode=private SystemCallArchitectures=native
SystemCallFilter=@system-service | SystemCallFilter=~@privileged @resources | SystemCallErrorNumber=EPERM LimitCORE=0
"""

OF_THE_CARD = f"""
Type=oneshot RemainAfterExit=yes TimeoutStartSec=120 User=root Group=gateway ConfigurationDirectory=gateway
RuntimeDirectoryMode=0700 MemoryMax=256M TasksMax=16 ProcSubset=pid IPAddressDeny=any
| ReadWritePaths=/etc/gateway -/boot/firmware -/boot | RestrictAddressFamilies=AF_INET AF_INET6 | {CONFINED}
"""

# By unit and section: words with "=" begin a directive, others go on with the value before; "|" is for the eye.
TABLE = {
    "gateway.service": {
        "Unit": "After=network.target time-set.target gateway-provision.service | StartLimitIntervalSec=0",
        "Service": f"""
            Type=notify NotifyAccess=main Sockets=gateway.socket User=gateway Group=gateway
            ExecStartPre=-+/usr/bin/gateway check | ExecStart=/usr/bin/gateway run | ExecReload=/usr/bin/gateway reload
            Restart=always RestartSec=2 TimeoutStartSec=120 TimeoutStopSec=90 TimeoutAbortSec=15
            WatchdogSec=30 WatchdogSignal=SIGABRT OOMPolicy=stop
            StateDirectory=gateway StateDirectoryMode=0700 RuntimeDirectory=gateway RuntimeDirectoryMode=0750
            LogsDirectory=gateway LogsDirectoryMode=0700 ConfigurationDirectory=gateway
            LogRateLimitIntervalSec=30 LogRateLimitBurst=1000
            LoadCredential=gateway:/etc/gateway/credentials SetCredential=gateway:none
            MemoryHigh=192M MemoryMax=256M TasksMax=128 LimitNOFILE=4096
            MemoryAccounting=yes CPUAccounting=yes IOAccounting=yes IPAccounting=yes
            RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK | {CONFINED}
        """,
        "Install": "WantedBy=multi-user.target Also=gateway.socket",
    },
    "gateway.socket": {
        "Unit": "",
        "Socket": """
            ListenStream=0.0.0.0:8088 FileDescriptorName=devices Backlog=512 FreeBind=yes TriggerLimitIntervalSec=0
        """,
        "Install": "WantedBy=sockets.target",
    },
    "gateway-provision.service": {
        "Unit": "After=local-fs.target boot-firmware.mount boot.mount time-set.target | Before=gateway.service",
        "Service": f"ExecStart=/usr/bin/gateway provision | RuntimeDirectory=gateway-provision {OF_THE_CARD}",
        "Install": "WantedBy=multi-user.target",
    },
    "gateway-provision-address.service": {
        "Unit": "Wants=network-online.target After=network-online.target gateway-provision.service",
        "Service": f"""
            ExecStart=/usr/bin/gateway provision --address | RuntimeDirectory=gateway-provision-address {OF_THE_CARD}
        """,
        "Install": "WantedBy=multi-user.target",
    },
}


def wanted(unit: str) -> dict[str, list[str]]:
    """Give the directives of the table, each as a line, by section."""
    found = {}
    for section, text in TABLE[unit].items():
        lines = []
        for word in text.replace("|", "").split():
            if re.match(r"[A-Za-z]+=", word):
                lines.append(word)
            else:
                lines[-1] += f" {word}"
        found[section] = sorted(lines)
    return found


def given(text: str) -> dict[str, list[str]]:
    """Give the directives of a unit, each as a line, by section."""
    found = {}
    for line in text.splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#") and line.partition("=")[0] not in _TOLD:
            section.append(line)
    return {name: sorted(lines) for name, lines in found.items()}


@pytest.mark.parametrize("unit", TABLE)
def test_a_unit_is_its_table(unit):
    """Each directive stands in its section with its value, and no other stands there."""
    assert wanted(unit) == given((UNITS / unit).read_text("utf-8"))


@pytest.mark.parametrize("unit", TABLE)
def test_each_line_that_is_lost_is_noticed(unit):
    """Without any one of its directives a unit is not its table any more."""
    lines = (UNITS / unit).read_text("utf-8").splitlines()
    for place, line in enumerate(lines):
        name, equals, _ = line.partition("=")
        if equals and not line.startswith("#") and name not in _TOLD:
            assert wanted(unit) != given("\n".join(lines[:place] + lines[place + 1 :])), line


def test_each_unit_has_a_table():
    """A unit that is added gets its table too."""
    assert set(TABLE) == {path.name for path in UNITS.iterdir() if path.is_file()}
