"""The signs of life are bounded: who has been silent longest goes, and who is in no book."""

import sqlite3

import pytest
from keeping import NOON, count, opened, rows

from gateway.errors import StoreUnavailable
from gateway.faults import Faults
from gateway.liveness import Limits, Liveness
from gateway.outbox import schema, signs

pytestmark = pytest.mark.anyio


def test_the_longest_unheard_goes_first(monkeypatch):
    """A device that pushes all the time stays, however early it came."""
    monkeypatch.setattr(signs, "_MAX_SIGNS", 3)
    conn = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(conn)
    known = signs.Signs(conn)
    for at, device in enumerate(["door", "b", "c", "door", "stranger"]):
        known.pushed(device, "x", at, steady=True, live=True)
    assert ["c", "door", "stranger"] == [sign.device for sign in known.all()]
    known.answered(lambda sign: sign.device == "c", 9.0)
    known.pushed("another", "x", 10, steady=True, live=True)
    assert ["stranger", "c", "another"] == [sign.device for sign in known.all()]


async def test_a_refused_first_push_leaves_no_sign_behind(tmp_path, monkeypatch):
    """A device whose only push was rolled back is asked about once, and not in a transaction each second for ever."""
    async with opened(tmp_path) as outbox:
        with monkeypatch.context() as patch:

            def refuse(*_args):
                raise sqlite3.OperationalError("disk I/O error")

            patch.setattr(outbox._places, "save_waiting", refuse)
            with pytest.raises(StoreUnavailable):
                await outbox.append([count(0, 1)], NOON)
        liveness, before = Liveness(outbox, Faults(), Limits()), outbox.commits
        for _ in range(5):
            await liveness.round()
        assert ([], 1) == (outbox.signs.all(), outbox.commits - before)
    assert [] == rows(tmp_path, "SELECT id FROM devices")
