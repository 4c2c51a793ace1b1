"""Whether the gateway runs, has its port, and answers where the devices call it."""

import os
import socket
from collections.abc import Iterable
from ipaddress import ip_address

from gateway.doctor.box import Box, Check, hindered, well, wrong
from gateway.doctor.finding import Finding
from gateway.doctor.sockets import Ear, listening, local_addresses, processes
from gateway.outbox import opening

RUNS, PORT = "gateway", "port"
_ANSWER_S = 3.0
_ANY = {"0.0.0.0", "::"}


def look_at_daemon(box: Box) -> Iterable[Finding]:
    """Say whether the gateway runs and answers."""
    holder = opening.holder(box.config.store.path)
    if box.told is not None:
        up = f", up {box.told.get('uptime_s')} s" if "uptime_s" in box.told else ""
        yield well(RUNS, f"It runs{f' (process {holder})' if holder else ''}{up}.")
    elif box.refused:
        yield hindered(RUNS, f"Whether it runs cannot be told. {box.refused}")
    elif holder is not None:
        said = f"The gateway runs (process {holder}) and does not answer on its socket."
        yield wrong(RUNS, "gateway_hangs", said)
    else:
        yield wrong(
            RUNS, "gateway_down", "The gateway does not run: nothing is received. Devices keep what they can."
        )


def look_at_port(box: Box) -> Iterable[Finding]:
    """Find out who has the port of the devices, and call it as they do."""
    listen = box.config.listen
    port = _port(box)
    if not port:
        yield well(PORT, "Any free port is taken for the devices, as listen.port = 0 says.")
        return
    ears = listening(box, port)
    holder = opening.holder(box.config.store.path)
    if not ears:
        yield _nobody(port, running=holder is not None)
        return
    names = processes(box, ears)
    ours = (holder is not None and (holder in names or not names)) or _systemd_holds(box, names, ears)
    if not ours:
        yield _another(port, names, ears)
        return
    yield from _answers(box, listen.host, port, ears, running=holder is not None)


def _port(box: Box) -> int:
    """Give the port that the daemon really has, else that of the configuration."""
    told = str((box.told or {}).get("listen", ""))
    number = told.rpartition(":")[2]
    return int(number) if number.isdecimal() else box.config.listen.port


def _systemd_holds(box: Box, names: dict[int, str], ears: list[Ear]) -> bool:
    """Say whether systemd has the port, which it keeps open while the gateway does not run."""
    if not names:
        return all(ear.owner == 0 for ear in ears) and os.geteuid() != 0
    # A gateway that is only starting has no store yet, and the socket already; before its program begins its name
    # stands in brackets.
    others = {name.strip("()") for number, name in names.items() if number != 1}
    return others <= {RUNS} and all(1 in processes(box, [ear]) for ear in ears)


def _nobody(port: int, *, running: bool) -> Finding:
    if running:
        return wrong(PORT, "port_unreachable", f"The gateway runs, and nothing listens on port {port}.")
    return well(PORT, f"Port {port} is free for the gateway, which does not run.")


def _another(port: int, names: dict[int, str], ears: list[Ear]) -> Finding:
    if names:
        who = ", ".join(f"{name} (process {number})" for number, name in sorted(names.items()))
    else:
        who = f"a program of the user {ears[0].owner}"
    return wrong(
        PORT, "port_taken", f"Port {port} is taken by {who}, so the gateway cannot have it.", str(port)
    )


def _answers(box: Box, host: str, port: int, ears: list[Ear], *, running: bool) -> Iterable[Finding]:
    if ip_address(ears[0].address).is_loopback:
        yield well(
            PORT,
            f"Port {port} is open on {ears[0].address}: only programs on this box can push (listen.host).",
        )
        return
    if not running:  # systemd has it; a call would start the gateway
        yield well(PORT, f"systemd has opened port {port} and starts the gateway when somebody calls.")
        return
    addresses = local_addresses(box) if host in _ANY else [host]
    for address in addresses[:1]:
        try:
            socket.create_connection((address, port), timeout=_ANSWER_S).close()
        except OSError as error:
            reason = error.strerror or "no answer"
            yield wrong(
                PORT, "port_unreachable", f"The device port does not answer at {address}:{port} ({reason})."
            )
            return
    said = f"Port {port} is open"
    yield well(PORT, f"{said} and answers at {addresses[0]}." if addresses else f"{said}.")


DAEMON = Check(RUNS, look_at_daemon, frozenset({"gateway_down", "gateway_hangs"}))
CHECK = Check(PORT, look_at_port, frozenset({"port_taken", "port_unreachable"}))
