"""Look once a day until when the certificates of the sinks hold, and have a fault stand for one that ends soon."""

import structlog
from anyio import to_thread

from gateway.config import Config
from gateway.daemon.rounds import Rounds
from gateway.doctor import far_ends
from gateway.doctor.finding import Finding
from gateway.faults import Faults

log = structlog.get_logger()

_FIRST_S, _DAY_S = 120.0, 86_400.0  # not in the busy first minutes


class Certificates:
    """The same look as `gateway doctor` takes, without its login and its test event."""

    def __init__(self, config: Config, faults: Faults) -> None:
        self._config = config
        self._faults = faults
        self._raised: set[str] = set()  # subjects
        self._rounds = Rounds(_FIRST_S, _DAY_S)

    def put(self, config: Config) -> None:
        """Go by another configuration from now on, and look soon."""
        self._config = config
        self._rounds.now()

    async def run(self) -> None:
        """Look for ever."""
        await self._rounds.run(self.look)

    async def look(self) -> None:
        """Look once, in a thread: a far end may take its time."""
        config = self._config
        found = await to_thread.run_sync(lambda: list(far_ends.certificates(config)), abandon_on_cancel=True)
        self._judge(found)

    def _judge(self, findings: list[Finding]) -> None:
        """Raise and clear; what could not be looked at stays as it was."""
        ending = {one.subject: one for one in findings if one.code}
        unseen = {one.subject for one in findings if one.hindered}
        for subject, finding in ending.items():
            if self._faults.report(finding.code, subject, finding.sentence, again=False):
                log.warning("certificate_ends", sink=subject, reason=finding.sentence)
        for subject in self._raised - ending.keys() - unseen:
            self._faults.clear("certificate_expires", subject)
        self._raised = ending.keys() | (self._raised & unseen)
