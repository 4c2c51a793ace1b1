"""The webhooks of the simulated cloud: what reached it since the last push goes out as one array, once."""

import json
from collections.abc import Mapping

from gateway.simulate.camlytics_cloud.world import World
from gateway.simulate.wire import NoReply, Wire

_MOST = 50


class Webhooks:
    """Pushes to one address. The vendor documents no retry, so what is refused is lost to this way."""

    def __init__(self, world: World, url: str, headers: Mapping[str, str], *, timeout_s: float = 5.0) -> None:
        self.pushed = 0  # records
        self.refused = 0
        self._world = world
        self._done = 0
        self._headers = {"Content-Type": "application/json", **headers}
        self._wire = Wire(url, timeout_s=timeout_s)

    async def push(self) -> None:
        """Push everything that is new in the cloud."""
        self._world.catch_up()
        came = self._world.arrivals[self._done :]
        self._done += len(came)
        for start in range(0, len(came), _MOST):
            batch = came[start : start + _MOST]
            body = json.dumps([record.as_json(webhook=True) for record in batch]).encode()
            try:
                answer = await self._wire.exchange(body, self._headers)
                taken = 200 <= answer.status <= 299
            except NoReply:
                taken = False
            self.pushed += len(batch) * taken
            self.refused += len(batch) * (not taken)

    async def close(self) -> None:
        """Close the connection."""
        await self._wire.close()
