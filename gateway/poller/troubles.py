"""Why polls give nothing: one fault for each account and reason, however many of its polls that holds up."""

from gateway.faults import Faults


class Troubles:
    """What stands against the polls that are driven; those of one account mostly fail together."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._driven: dict[str, set[str]] = {}  # account: its polls
        self._standing: dict[str, dict[str, tuple[str, str]]] = {}  # account: poll: code and why

    def drive(self, poll: str) -> None:
        """Count a poll in."""
        self._driven.setdefault(account_of(poll), set()).add(poll)

    def forget(self, poll: str) -> None:
        """Count a poll out, with what stood against it."""
        self.clear(poll)
        self._driven.get(account_of(poll), set()).discard(poll)

    def report(self, poll: str, code: str, why: str) -> bool:
        """Note why a poll gives nothing, in place of what stood against it; True when that is news."""
        standing = self._standing.setdefault(account_of(poll), {})
        before = standing.get(poll)
        standing[poll] = (code, why)
        if before is not None and before[0] != code:
            self._lessen(account_of(poll), before[0])
        return self._faults.report(code, account_of(poll), self._sentence(poll, code, why))

    def clear(self, poll: str) -> None:
        """Note that a poll gives something again; the fault goes with the last of those that it held up."""
        before = self._standing.get(account_of(poll), {}).pop(poll, None)
        if before is not None:
            self._lessen(account_of(poll), before[0])

    def _lessen(self, account: str, code: str) -> None:
        left = [(poll, why) for poll, (held, why) in self._standing[account].items() if held == code]
        if left:
            self._faults.report(code, account, self._sentence(left[-1][0], code, left[-1][1]), again=False)
        else:
            self._faults.clear(code, account)

    def _sentence(self, poll: str, code: str, why: str) -> str:
        account = account_of(poll)
        polls = len(self._driven.get(account, ()))
        held = sum(one == code for one, _ in self._standing[account].values())
        if polls < 2:
            return f"{poll} gives nothing. {why}"
        if held == 1:
            return f"{poll}, 1 of the {polls} polls of {account}, gives nothing. {why}"
        return f"{account} gives nothing to {held} of its {polls} polls. {why}"


def account_of(poll: str) -> str:
    """Name the account of a poll: the first two words of its name, as in `Poll`."""
    return ".".join(poll.split(".")[:2])
