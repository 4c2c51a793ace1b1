"""The account by device, as real forwarders move it: outages, refusals, leaps, replays, kills and restarts."""

import contextlib
import random
from collections import Counter
from datetime import timedelta

import pytest
from keeping import NOON, audited, count, counter, opened
from scripted import Scripted, driven, later

from gateway.errors import GatewayError
from gateway.outbox import retention

pytestmark = pytest.mark.anyio
DEVICES = [f"counter-{n}" for n in range(5)]


class Moody(Scripted):
    """Takes, refuses some, takes a part and breaks off, or fails altogether."""

    def __init__(self, luck, **how):
        super().__init__(**how)
        self.luck, self.calm = luck, False

    async def send(self, batch):
        mood = 9 if self.calm else self.luck.randrange(8)
        if mood == 0:
            self.script.append(later())
        elif mood == 1:
            self.script.append(later(delivered=self.luck.randrange(len(batch))))
        elif mood == 2:
            self.script.append({n: "odd" for n in range(len(batch)) if self.luck.random() < 0.3})
        elif mood == 3:
            self.script.append(ZeroDivisionError("a bug"))
        return await super().send(batch)


async def trouble(line, outbox, luck, minute):
    """Do one thing that happens in the life of a gateway; give the next minute."""
    match luck.randrange(5):
        case 0 | 1:
            number = luck.randrange(1, 40)
            devices = [luck.choice(DEVICES) for _ in range(number)]
            events = [count(minute + n, device=counter(device)) for n, device in enumerate(devices)]
            await outbox.append(events, NOON + timedelta(minutes=minute))
            return minute + number
        case 2:
            await outbox.write(lambda conn: conn.execute("UPDATE letters SET retry = 1 WHERE number % 2 = 0"))
            line.forwarder.letters_asked()
        case 3 if line.position.cursor > 3:
            first = luck.randrange(line.position.cursor - 1)
            with contextlib.suppress(GatewayError):  # a range too many
                await line.forwarder.replay(first, luck.randrange(first + 1, line.position.cursor))
        case _:
            limit = luck.randrange(1, 8)
            await outbox.rewriting.remove(
                lambda conn, kept: retention.remove_owed(conn, keep=kept.on_their_way, limit=limit)
            )
    return minute


@pytest.mark.parametrize("live_first", [True, False])
@pytest.mark.parametrize("seed", range(3))
async def test_every_device_has_its_account_through_a_life_of_trouble(tmp_path, seed, live_first):
    """After each of three lives everything that came of a device is delivered, in a letter, expired, or waits."""
    luck, minute = random.Random(f"account {seed} {live_first}"), 0
    taken: Counter = Counter()
    for life in range(3):
        async with opened(tmp_path) as outbox:
            sink = Moody(luck, window=10)
            async with driven(outbox, sink, live_first=live_first) as line:
                await line.until(lambda: line.position)
                for _ in range(25):
                    minute = await trouble(line, outbox, luck, minute)
                    audited(tmp_path, "out")
                if life == 1:
                    await line.kill()
                else:
                    sink.calm = True
                    line.forwarder.try_now()
                    await line.drained()
            taken.update(sink.taken)
        found = audited(tmp_path, "out")
    total = {name: sum(row[name] for row in found.values()) for name in ("received", "delivered", "waiting")}
    assert (minute, 0) == (total["received"], total["waiting"])
    assert total["delivered"] <= len(taken)
    assert set(found) <= set(DEVICES)
