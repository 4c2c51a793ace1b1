"""One fault for each account and reason, whatever the number of its polls."""

from gateway.faults import Faults
from gateway.poller.troubles import Troubles


def troubles(*polls):
    faults = Faults()
    made = Troubles(faults)
    for poll in polls:
        made.drive(poll)
    return faults, made


def told(faults):
    return [(fault.code, fault.subject, fault.sentence) for fault in faults]


def test_polls_of_one_account_share_a_fault_that_counts_them():
    """It grows and shrinks with the polls that it holds up, and goes with the last of them."""
    faults, made = troubles("cloud.shop.events", "cloud.shop.triggers", "cloud.mall.events")
    assert made.report("cloud.shop.events", "poll_login", "The key is wrong.")
    assert [
        (
            "poll_login",
            "cloud.shop",
            "cloud.shop.events, 1 of the 2 polls of cloud.shop, gives nothing. The key is wrong.",
        )
    ] == told(faults)
    assert not made.report("cloud.shop.triggers", "poll_login", "The key is wrong.")
    assert [
        ("poll_login", "cloud.shop", "cloud.shop gives nothing to 2 of its 2 polls. The key is wrong.")
    ] == told(faults)
    made.clear("cloud.shop.events")
    assert "cloud.shop.triggers, 1 of the 2 polls" in told(faults)[0][2]
    made.clear("cloud.shop.triggers")
    assert [] == told(faults)


def test_another_reason_or_account_is_another_fault():
    """Each reason stands as long as one poll has it; a poll has one reason at a time."""
    faults, made = troubles("cloud.shop.events", "cloud.shop.triggers", "camlytics.hall")
    made.report("cloud.shop.events", "poll_login", "No.")
    made.report("cloud.shop.triggers", "poll_timeout", "Late.")
    made.report("camlytics.hall", "poll_refused", "Nobody.")
    assert "camlytics.hall gives nothing. Nobody." == told(faults)[2][2]
    made.report("cloud.shop.events", "poll_timeout", "Late.")
    assert {("poll_timeout", "cloud.shop"), ("poll_refused", "camlytics.hall")} == {
        fault[:2] for fault in told(faults)
    }
    for poll in ("cloud.shop.events", "cloud.shop.triggers", "camlytics.hall"):
        made.forget(poll)
    assert [] == told(faults)
