"""How much of bodies is in memory: of everybody, and of each address, so that one sender cannot use up what all share.

A body of a few kilobytes, as a counter sends it, does not wait for room among the large ones: who holds many large bodies
half sent must not lock it out. The small ones have a bound of their own.
"""

from collections import Counter

SMALL_BYTES = 65_536  # a minute of a counter has one or two thousand bytes


class Bodies:
    """Keeps account of the bytes of bodies that have no answer yet."""

    def __init__(self, most: int, share: int) -> None:
        self._most = most
        self._share = share  # of one address, of large bodies
        self._small = self._large = 0
        self._from: Counter[str] = Counter()

    @property
    def held(self) -> int:
        """Say how many bytes there are in all."""
        return self._small + self._large

    @property
    def addresses(self) -> int:
        """Say how many addresses are accounted for."""
        return len(self._from)

    def take(self, address: str) -> "Held":
        """Open the account of one body."""
        return Held(self, address)

    def add(self, address: str, size: int, *, large: bool) -> None:
        """Count bytes of an address, or with a negative size no longer."""
        if not large:
            self._small += size
            return
        self._large += size
        self._from[address] += size
        if self._from[address] <= 0:
            del self._from[address]

    def full(self, address: str, *, large: bool) -> bool:
        """Say whether there is more of such bodies than there may be."""
        if not large:
            return self._small > self._most
        return self._large > self._most or (address != "" and self._from[address] > self._share)


class Held:
    """The account of one body; its bytes count until it is given back."""

    def __init__(self, bodies: Bodies, address: str) -> None:
        self._bodies = bodies
        self._address = address
        self._size = 0
        self._large = False

    def grow(self, more: int, expected: int) -> bool:
        """Add what has come, of a body of an expected length; say whether there is room for it."""
        large = max(self._size + more, expected) > SMALL_BYTES
        if large and not self._large:  # a chunked body shows only now how large it is
            self._bodies.add(self._address, -self._size, large=False)
            self._bodies.add(self._address, self._size, large=True)
            self._large = True
        self._size += more
        self._bodies.add(self._address, more, large=self._large)
        return not self._bodies.full(self._address, large=self._large)

    def give_back(self) -> None:
        """Count nothing of it any more."""
        self._bodies.add(self._address, -self._size, large=self._large)
        self._size = 0
