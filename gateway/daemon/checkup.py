"""Look at the box once a minute with the doctor's cheap checks, and keep the faults as they find things."""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from anyio import to_thread

from gateway import clock
from gateway.config import Config
from gateway.daemon.rounds import Rounds
from gateway.doctor.box import Box, Check
from gateway.doctor.checks import BOX_CHECKS
from gateway.doctor.examining import Look
from gateway.doctor.finding import Finding
from gateway.faults import Faults

_FIRST_S, _ROUND_S, _LIMIT_S = 3.0, 60.0, 10.0
# What has a fault of another name already is not told twice.
_SAID_BY = {"config_changed": "config_rejected"}

Key = tuple[str, str]  # code and subject


class Checkup:
    """Raises what was seen often enough in a row, and clears what was gone as often: nothing flaps."""

    def __init__(self, config: Config, faults: Faults, checks: Iterable[Check] = BOX_CHECKS) -> None:
        self.path: Path | None = None  # of the configuration file
        self._config = config
        self._faults = faults
        self._checks = [check for check in checks if check.cheap]
        self._looks: dict[str, Look] = {}  # by check; one that hangs stays here until it comes back
        self._seen: Counter[Key] = Counter()
        self._gone: Counter[Key] = Counter()
        self._raised: dict[Key, str] = {}  # by which check
        self._rounds = Rounds(_FIRST_S, _ROUND_S)

    def put(self, config: Config) -> None:
        """Go by another configuration from now on, and look at once."""
        self._config = config
        self._rounds.now()

    async def run(self) -> None:
        """Look for ever."""
        await self._rounds.run(self.look)

    async def look(self) -> None:
        """Look once."""
        told = {"faults": [fault.as_json() for fault in self._faults]}
        box = Box(self._config, self.path, told=told, inside=True)
        begun = [check for check in self._checks if check.name not in self._looks]
        self._looks |= {check.name: Look(check, box) for check in begun}
        # A thread waits, not the event loop; a stop does not wait for the thread.
        await to_thread.run_sync(partial(self._wait, list(self._looks.values())), abandon_on_cancel=True)
        for check in self._checks:
            look = self._looks[check.name]
            if look.ended:
                del self._looks[check.name]
                self._judge(check, look.found())

    def _wait(self, looks: list[Look]) -> None:
        end = clock.steady() + _LIMIT_S
        for look in looks:
            look.wait(end - clock.steady())

    def _judge(self, check: Check, findings: list[Finding]) -> None:
        """Count what was seen and what was gone; nothing is gone that could not be looked at."""
        there = {(one.code, one.subject): one for one in findings if one.code and not one.advice}
        for key, finding in there.items():
            self._gone.pop(key, None)
            self._seen[key] += 1
            if self._is_told(key):
                self._clear(key)
            elif key in self._raised or self._seen[key] >= check.looks:
                self._raised[key] = check.name
                self._faults.report(*key, finding.sentence, finding.remedy or None, again=False)
        if any(one.hindered for one in findings):
            return
        for key in [key for key, name in self._raised.items() if name == check.name and key not in there]:
            self._gone[key] += 1
            if self._gone[key] >= check.looks:
                self._clear(key)
        for key in [key for key in self._seen if key[0] in check.codes and key not in there]:
            if key not in self._raised:
                del self._seen[key]

    def _is_told(self, key: Key) -> bool:
        said_by = _SAID_BY.get(key[0])
        return said_by is not None and any(fault.code == said_by for fault in self._faults)

    def _clear(self, key: Key) -> None:
        self._faults.clear(*key)
        self._raised.pop(key, None)
        self._seen.pop(key, None)
        self._gone.pop(key, None)
