"""Who pushes from where: an alarm may come without a serial number, and two devices may have one identity."""

import time
from collections import OrderedDict, deque

from gateway.faults import Faults

_ADDRESSES = 5_000
_FEW = 3
_IN_TURN_S = 900.0  # a lease that changed does not change back so soon
_MOVES = 3  # so many changes within that time are no leases either, also when no address comes twice
_SHOWN_SERIAL = 64


class Senders:
    """Remembers the devices of each address and the addresses of each device; bounded."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._seen_at: OrderedDict[tuple[str, str], set[str]] = OrderedDict()
        self._address_of: OrderedDict[str, tuple[str, str, float]] = OrderedDict()  # now, before, since when
        self._moved: OrderedDict[str, deque[float]] = OrderedDict()  # the last changes of address
        self._spelt: OrderedDict[str, str] = OrderedDict()  # serial numbers as the devices spell them

    def __len__(self) -> int:
        return max(len(self._seen_at), len(self._address_of))

    def remember(self, source: str, address: str, device: str) -> None:
        """Note where a device was last seen; also used at the start, from the device book."""
        if "-at-" in device:
            return
        seen = self._seen_at.setdefault((source, address), set())
        if len(seen) < _FEW:  # only whether there is exactly one matters
            seen.add(device)
        self._seen_at.move_to_end((source, address))
        if len(self._seen_at) > _ADDRESSES:
            self._seen_at.popitem(last=False)

    def only_one_at(self, source: str, address: str) -> str | None:
        """Name the only device of a source that was seen at an address; None when there are none or several."""
        known = self._seen_at.get((source, address), ())
        return next(iter(known)) if address and len(known) == 1 else None

    def tell_shared(self, device: str, address: str) -> None:
        """Notice two devices with one identity: they push from two addresses in turn, and would count as one."""
        now = time.monotonic()
        last, before, since = self._address_of.get(device, (address, "", now))
        if address == last:
            self._address_of.setdefault(device, (address, "", now))
            return
        moved = self._moved.setdefault(device, deque(maxlen=_MOVES))
        moved.append(now)
        often = len(moved) == _MOVES and now - moved[0] < _IN_TURN_S
        if often or (address == before and now - since < _IN_TURN_S):
            sentence = f"{device} pushes from {address} and {last} in turn: two devices have one identity."
            self._faults.report("identity_shared", device, sentence)
        self._address_of[device] = (address, last, now)
        for known in (self._address_of, self._moved):
            if len(known) > _ADDRESSES:
                known.popitem(last=False)

    def tell_spelt(self, device: str, serial: str | None) -> None:
        """Notice two serial numbers that make one id, because they differ in upper and lower case only."""
        if serial is None:
            return
        known = self._spelt.get(device)
        if known is not None and known != serial:
            one, other = (text[:_SHOWN_SERIAL] for text in (known, serial))
            sentence = (
                f'{device} has two serial numbers, "{one}" and "{other}": two devices have one identity.'
            )
            self._faults.report("identity_shared", device, sentence)
        self._spelt[device] = serial
        if len(self._spelt) > _ADDRESSES:
            self._spelt.popitem(last=False)
