"""Where this machine gets Debian from, for roots of other releases and architectures that are made here."""

import subprocess


def address() -> str:
    """Give the archive from which this machine gets Debian itself; every release is below it. LookupError without one."""
    form = "$(ORIGIN)|$(LABEL)|$(CODENAME)|$(REPO_URI)"
    rows = [
        line.split("|") for line in _told("apt-get", "indextargets", "--format", form, "Created-By: Packages")
    ]
    for row in rows:
        if row[:2] == ["Debian", "Debian"] and len(row) == 4 and "-" not in row[2]:
            return row[3]
    raise LookupError("apt knows no Debian mirror here: set one up in /etc/apt and run apt-get update")


def words() -> list[str]:
    """Give what mmdebstrap must tell apt to reach it: a proxy, dates that are not to be checked."""
    lines = _told("apt-config", "dump", "Acquire")
    return [f"--aptopt={line}" for line in lines if line.startswith(("Acquire::Check-", "Acquire::http"))]


def _told(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()  # noqa: S603 - fixed
