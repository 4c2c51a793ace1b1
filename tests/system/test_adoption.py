"""Strangers at the device port of the running daemon: held, shown, adopted, ignored; and a flood of them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from open_door import Place, count


@pytest.fixture
def place(tmp_path, request):
    made = Place(tmp_path, *getattr(request, "param", ['unknown_devices = "hold"']))
    yield made
    if made.daemon.running:
        made.daemon.stop()


def test_a_stranger_waits_is_shown_and_is_adopted(place):
    """Its device is told that all is kept, nothing is counted, and after the adoption everything is, once."""
    assert [200, 200, 200] == place.push(count("77", 0, 2), count("77", 1, 3), count("77", 1, 3))
    assert 0 == place.enters("counter-77")
    (row,) = place.lobby()["waiting"]
    assert ("counter-77", "people_counter", "127.0.0.1", "77", "door") == tuple(
        row[key] for key in ("device", "source", "address", "serial", "name")
    )
    assert (2, 2, True) == (row["pushes"], row["events"], "enters 3" in row["sample"])
    shown = place.daemon.asked("adopt")
    assert (1, True) == (shown.returncode, "counter-77" in shown.stdout)
    status = place.status()
    assert (1, 2, 0) == (
        status["adoption"]["waiting_devices"],
        status["since_start"]["held"],
        status["received"],
    )
    (fault,) = [fault for fault in status["faults"] if fault["code"] == "devices_waiting"]
    assert ("counter-77" in fault["sentence"], "gateway adopt" in fault["action"]) == (True, True)

    assert "Adopted counter-77. 2 held events" in place.adopt("door")
    place.wait(lambda: place.enters("counter-77") == 5)
    assert [200] == place.push(count("77", 2, 4))
    assert 9 == place.enters("counter-77")
    assert [] == place.lobby()["waiting"]
    assert "devices_waiting" not in {fault["code"] for fault in place.status()["faults"]}
    assert 0 == place.daemon.asked("adopt").returncode
    assert "adopted already" in place.adopt("counter-77")


def test_nonsense_is_refused_with_a_sentence(place):
    """A name that nobody has, a window of years and two wishes at once change nothing and say why."""
    for words, status, said in (
        (("nobody",), 1, "No device called nobody waits"),
        (("--window", "100000"), 1, "0 to 1440 minutes"),
        (("--window", "nan"), 2, "a number of minutes"),
        (("--ignore", "nobody"), 1, "no address either"),
        (("door", "--all"), 2, "one thing at a time"),
    ):
        told = place.daemon.asked("adopt", *words)
        assert (status, True) == (told.returncode, said in told.stderr), told.stderr


def test_ignoring_and_the_way_back(place):
    """An ignored address is answered and counted and kept nowhere; taken back, its devices wait again."""
    place.push(count("1"), count("2"), address="127.0.0.9")
    assert "2 held events dropped" in place.adopt("--ignore", "127.0.0.9")
    assert [200, 200] == place.push(count("1"), count("3"), address="127.0.0.9")
    lobby = place.lobby()
    assert ([], [("127.0.0.9", 2)]) == (
        lobby["waiting"],
        [(row["name"], row["pushes"]) for row in lobby["ignored"]],
    )
    assert [200] == place.push(count("1"))
    assert "no longer ignored" in place.adopt("127.0.0.9")
    place.push(count("3"), address="127.0.0.9")
    assert ["counter-1", "counter-3"] == [row["device"] for row in place.lobby()["waiting"]]


def test_a_window_survives_a_restart_and_closes(place):
    """While it is open strangers are adopted as they come, also after a kill; 0 closes it."""
    place.push(count("1", 0, 2))
    assert "Open for 10 minutes" in place.adopt("--window", "10")
    place.daemon.kill()
    place.daemon.start()
    assert 10 == place.status()["adoption"]["window_min"]
    place.push(count("1", 1, 3), count("2", 0, 4))
    place.wait(lambda: (place.enters("counter-1"), place.enters("counter-2")) == (5, 4))
    assert "Closed" in place.adopt("--window", "0")
    place.push(count("3"))
    assert ["counter-3"] == [row["device"] for row in place.lobby()["waiting"]]


def test_an_adoption_that_is_killed_goes_on(place):
    """A kill in the middle of a long adoption neither loses nor doubles a held minute."""
    place.push(*(count("1", minute) for minute in range(450)))
    place.adopt("1")
    place.daemon.kill()
    place.daemon.start()
    place.wait(lambda: not place.rows("SELECT 1 FROM held LIMIT 1"))
    assert 450 == place.enters("counter-1")
    assert [(450,)] == place.rows("SELECT count(*) FROM events")


def test_a_reload_lets_in_what_need_not_wait(place):
    """Named in the configuration, or when strangers are accepted: what was held is counted without a command."""
    place.push(count("1", 0, 2), count("2", 0, 3))
    place.reload('unknown_devices = "hold"', '[devices.front]\nid = "counter-1"')
    place.wait(lambda: place.enters("counter-1") == 2)
    assert 0 == place.enters("counter-2")
    place.reload('unknown_devices = "accept"')
    place.wait(lambda: place.enters("counter-2") == 3)


def test_a_path_token_needs_no_adoption(place):
    """The installer who typed the path of the configuration into a device has vouched for it."""
    place.reload('unknown_devices = "hold"', '[devices.front]\ntoken = "k3v9-front"\nswapped = true')
    place.push(count("1", 0, 2), path="/k3v9-front")
    assert [(2,)] == place.rows("SELECT amount FROM tallies WHERE device = 'counter-1' AND measure = 'exits'")


@pytest.mark.parametrize("place", [["held_devices = 30\nmax_devices = 100", ""]], indirect=True)
def test_a_flood_of_invented_devices_does_not_push_out_real_ones(place):
    """A crowd from four addresses is bounded; meanwhile no minute of a real device is lost, and a new one gets in."""

    def flood(address: str) -> list[int]:
        names = (f"{address}-{number}".replace(".", "") for number in range(300))
        return place.push(*map(count, names), address=address)

    assert [200] == place.push(count("real", 0, 1), address="127.0.0.2")
    with ThreadPoolExecutor(4) as threads:
        floods = [threads.submit(flood, f"127.0.1.{number}") for number in range(4)]
        real = [place.push(count("real", minute, 1), address="127.0.0.2")[0] for minute in range(1, 60)]
        answers = [status for each in floods for status in each.result()]
    assert {200} == set(real)
    assert 60 == place.enters("counter-real")
    assert {200, 503} == set(answers)
    assert answers.count(200) < 100
    assert place.rows("SELECT count(*) FROM devices")[0][0] <= 4 * 20 + 1
    assert len(place.lobby()["waiting"]) <= 30
    assert {"devices_waiting", "devices_refused"} <= {fault["code"] for fault in place.status()["faults"]}
    assert [200] == place.push(count("new", 0, 6), address="127.0.2.1")
    assert 6 == place.enters("counter-new")
