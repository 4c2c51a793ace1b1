"""The webhooks of the Camlytics cloud, all the way through the callbacks port into the store."""

import json

import pytest
from callback_site import Called

_RULES = '[camlytics_cloud.shop]\ntriggers = [{trigger = "4-enter", direction = "in"}]'
_ITEM = {
    "record_id": 1635, "event_type": "TripwireCrossed", "snapshot_id": -23, "trigger_id": "4-enter",
    "origin": "Pedestrian", "suborigin": "Unknown", "age_range": "CANARYage", "gender": "CANARYgender", "id": None,
    "channel_id": "35576ahb-56656", "object_id": 6, "location_id": 123, "event_time": "2026-05-05 11:59:58.250",
}  # fmt: skip


@pytest.fixture
def called(tmp_path):
    site = Called(tmp_path, more=_RULES).start()
    yield site
    site.close()


def test_a_webhook_counts_on_the_callbacks_port_and_nowhere_else(called):
    """With its header a crossing is counted once, however often it comes; the port of the devices counts none."""
    body = json.dumps([_ITEM, {**_ITEM, "record_id": 1636}]).encode()
    assert [200, 200] == [called.call(body)[0] for _ in range(2)]
    assert called.call(body, headers=())[0] in (401, 403)
    called.call(json.dumps([{**_ITEM, "record_id": 9}]).encode(), lan=True)
    called.call(json.dumps([_ITEM, {**_ITEM, "event_time": "soon"}]).encode())
    assert [("enters", 2), ("exits", 0)] == called.rows(
        "SELECT measure, amount FROM tallies ORDER BY measure"
    )
    assert [(2,)] == called.rows("SELECT count(*) FROM events WHERE kind = 'count'")
    assert [(2,)] == called.rows("SELECT count(*) FROM letters")
    called.daemon.stop()
    assert b"CANARY" not in called.everything_written()
