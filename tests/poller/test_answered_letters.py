"""What a polled system answered is a letter that a person can look at, and that is not read again."""

import re
from types import SimpleNamespace

import pytest
from keeping import NOON, opened, rows

from gateway.daemon.requests import Requests
from gateway.errors import GatewayError

pytestmark = pytest.mark.anyio


async def test_a_letter_of_an_answer_says_that_it_is_not_read_again(tmp_path):
    """Trying such a letter again is refused with one sentence that says why and what to do, and it stays."""
    async with opened(tmp_path) as outbox:
        await outbox.keep_letter(
            stage="parse",
            sender="camlytics.hall",
            reason="an event has no type",
            received_at=NOON,
            head={"method": "GET", "path": "/v1/json/events", "status": 200, "source": "camlytics"},
            body=b"[{}]",
        )
        receiver = SimpleNamespace(port="")
        requests = Requests(SimpleNamespace(), outbox, receiver, SimpleNamespace(), SimpleNamespace(), dict)
        with pytest.raises(GatewayError, match=re.escape("camlytics.hall gave, and only pushes")) as said:
            await requests.retry_letter(1)
        assert "gateway letters drop 1" in str(said.value)
        assert [(1,)] == rows(tmp_path, "SELECT number FROM letters")
