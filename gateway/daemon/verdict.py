"""Whether the gateway does its work, as one answer for programs: it receives, and it delivers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.config import Config
from gateway.daemon.lines import Lines
from gateway.daemon.watchdog import COMMIT_LIMIT_S
from gateway.doctor.finding import Finding
from gateway.faults import Faults
from gateway.outbox import Outbox

_OF_SINKS = ("mqtt_", "https_", "sink_unavailable", "sink_stalled", "config_rejected")
_MORE = " `gateway status` says more."
_OF_STORE = ("disk_full", "store_full", "store_failed", "store_gone")


@dataclass(slots=True)
class Ports:
    """Which ports are open, as those who open them say."""

    devices: bool = False
    control: bool = False


@dataclass(slots=True)
class Verdict:
    """Judges from what the parts know; asks nobody and waits for nobody."""

    config: Config
    outbox: Outbox
    lines: Lines
    faults: Faults
    ports: Ports = field(default_factory=Ports)
    callbacks_open: Callable[[], bool | None] = lambda: None  # None: such a port is not wanted
    started: bool = False
    stopping: bool = False

    def health(self) -> tuple[bool, Mapping[str, object]]:
        """Say whether events are received and delivered; of each that is not, why and what to do."""
        receiving, delivering = list(self._receiving()), list(self._delivering())
        return not receiving and not delivering, {
            "healthy": not receiving and not delivering,
            "receiving": not receiving,
            "delivering": not delivering,
            "problems": [_told(finding) for finding in (*receiving, *delivering)],
        }

    def readiness(self) -> tuple[bool, Mapping[str, object]]:
        """Say whether the gateway has started: the store and every wanted port are open, and it is not stopping."""
        open_now = {
            "store": self.started,
            "devices_port": self.ports.devices,
            "control_socket": self.ports.control,
        }
        callbacks = self.callbacks_open()
        if callbacks is not None:
            open_now["callbacks_port"] = callbacks
        ready = all(open_now.values()) and not self.stopping
        return ready, {"ready": ready, "stopping": self.stopping, **open_now}

    def _receiving(self) -> Iterator[Finding]:
        for fault in self.faults:
            if fault.code in _OF_STORE:
                yield Finding("receiving", fault.sentence, fault.code)
        if self.outbox.hanging_s > COMMIT_LIMIT_S:
            sentence = f"A transaction of the store has been running for {self.outbox.hanging_s:.0f} s."
            yield Finding("receiving", sentence, "store_failed")
        if not self.ports.devices:
            yield Finding("receiving", "The port for devices is not open.")

    def _delivering(self) -> Iterator[Finding]:
        wanted = [name for name, section in self.config.sinks.items() if section.enabled]
        if not wanted:
            yield Finding(
                "delivering", "Events are received and kept, but nothing is forwarded yet.", "no_sink"
            )
        # The code only: the sentence of a fault may quote a far end, and here anybody may read.
        codes = {
            fault.subject: fault.code
            for fault in self.faults
            if fault.subject and fault.code.startswith(_OF_SINKS)
        }
        for name in wanted:
            line, code = self.lines.get(name), codes.get(name, "sink_unavailable")
            if line is None:
                yield Finding("delivering", f"Sink {name} is not driven.{_MORE}", code, name)
                continue
            stuck_s = line.forwarder.stuck_s()
            if stuck_s > self.config.monitoring.stuck_after_s:
                sentence = f"Nothing has gone to sink {name} for {stuck_s:.0f} s, and events wait.{_MORE}"
                yield Finding("delivering", sentence, code, name)


def _told(finding: Finding) -> Mapping[str, object]:
    return {
        "part": finding.check,
        "code": finding.code,
        "subject": finding.subject,
        "sentence": finding.sentence,
        "action": finding.action,
    }
