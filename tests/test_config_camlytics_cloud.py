"""The section of a Camlytics cloud account: what is wrong in it is said before anything is asked."""

import pytest

from gateway.config import loads
from gateway.config.mistakes import InvalidConfigError
from gateway.daemon.camlytics_cloud import cloud_polls, cloud_webhook


@pytest.fixture
def keys(tmp_path, monkeypatch):
    for name in ("key", "secret", "key-2", "secret-2"):
        (tmp_path / name).write_text(f"CANARY-{name}\n")
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))


def wrong(text: str) -> str:
    with pytest.raises(InvalidConfigError) as caught:
        loads(text)
    return str(caught.value)


_KEYS = 'key_file = "key"\nsecret_file = "secret"\n'


def test_an_account_gives_its_polls(keys):
    """Two locations give each method twice, but for the list of locations; switched off parts give none."""
    config = loads(f"[camlytics_cloud.a]\n{_KEYS}locations = [1, 2]\n")
    names = [poll.name for poll in cloud_polls(config, frozenset())]
    assert len(names) == len(set(names)) == 13
    config = loads(f"[camlytics_cloud.a]\n{_KEYS}check_totals = false\nhistograms = false\n")
    assert len(list(cloud_polls(config, frozenset()))) == 4
    for off in ("enabled = false\n" + _KEYS, ""):
        assert [] == list(cloud_polls(loads(f"[camlytics_cloud.a]\n{off}"), frozenset()))


def test_a_reload_without_a_change_keeps_the_polls(keys):
    """The same text gives equal polls, other keys give others."""
    one, same, other = (
        list(cloud_polls(loads(f"[camlytics_cloud.a]\n{text}"), frozenset()))
        for text in (_KEYS, _KEYS, 'key_file = "key-2"\nsecret_file = "secret-2"\n')
    )
    assert one == same
    assert one != other


def test_keys_are_in_no_text_of_the_configuration(keys):
    """Neither repr nor dump nor hash of a configuration holds a key."""
    config = loads(f"[camlytics_cloud.a]\n{_KEYS}")
    for text in (repr(config), config.model_dump_json(), repr(list(cloud_polls(config, frozenset())))):
        assert "CANARY" not in text
    assert "CANARY" not in repr(vars(cloud_webhook(config, frozenset())))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('key_file = "key"', "is of no use without secret_file"),
        ('secret_file = "secret"', "is of no use without key_file"),
        ('endpoint = "http://cloud"', "in the clear"),
        ('endpoint = "https://cloud/service/api/v1"', "adds the path of each method itself"),
        ('endpoint = "https://me:pw@cloud"', "no password"),
        ('key_file = "nothing"', "no secret of this name"),
        ("locations = [-1]", "out of range"),
        ("locations = 5", "write locations = [5]"),
        ('triggers = [{trigger = "Enter"}]', "neither direction nor zone"),
        ('triggers = [{trigger = "Enter", direction = "inside"}]', "in, out, ignore"),
        ('triggers = [{direction = "in"}]', "missing"),
        ('triggers = [{trigger = "E", direction = "in", zones = "x"}]', "zone"),
        ('count_origins = ["Dog"]', "Pedestrian"),
        ("period_s = 0.5", "2 to 3600"),
    ],
)
def test_each_mistake_is_said(keys, text, said):
    """A wrong option names its place and what is allowed."""
    message = wrong(f"[camlytics_cloud.a]\n{text}\n")
    assert said in message
    assert "camlytics_cloud.a" in message


def test_one_key_for_two_sections_is_a_mistake(keys):
    """Two accounts with one key would poll everything twice."""
    assert "polled twice" in wrong(f"[camlytics_cloud.a]\n{_KEYS}[camlytics_cloud.b]\n{_KEYS}")
    loads(f"[camlytics_cloud.a]\n{_KEYS}[camlytics_cloud.b]\nenabled = false\n{_KEYS}")


def test_people_may_write_origins_as_they_like(keys):
    """The case of an origin does not matter."""
    config = loads('[camlytics_cloud.a]\ncount_origins = ["pedestrian", "VEHICLE"]\n')
    assert ("Pedestrian", "Vehicle") == config.camlytics_cloud["a"].count_origins


def test_a_trigger_that_leads_into_no_zone_is_a_mistake(keys):
    """The zone of a trigger has to be there, or nobody is ever counted in it."""
    text = (
        f'[camlytics_cloud.a]\n{_KEYS}triggers = [{{trigger = "Enter", direction = "in", zone = "hall"}}]\n'
    )
    assert 'leads into the zone "hall"' in wrong(text)
    assert loads(f"{text}[zones.hall]\n")


def test_without_keys_a_trigger_is_an_id(keys):
    """Webhooks never say a name: a name without keys is a mistake, an id is none, and with keys both are fine."""
    for name in ("Enter", "Line 1", "Smokers' door"):
        rule = f'triggers = [{{trigger = "{name}", direction = "in"}}]\n'
        told = wrong(f"[camlytics_cloud.a]\n{rule}")
        assert f'names the trigger "{name}"' in told and "write its id" in told
        assert loads(f"[camlytics_cloud.a]\n{_KEYS}{rule}")
    rule = 'triggers = [{trigger = "47576ahb-56656-45786-acb45_000015E2", direction = "in"}]\n'
    assert loads(f"[camlytics_cloud.a]\n{rule}")
