"""The section of a Camlytics PC: what it becomes, and what it says about mistakes."""

import pytest

from gateway.config import InvalidConfigError, loads
from gateway.daemon.camlytics import camlytics_polls, instances
from gateway.daemon.composing import reception

HALL = '[camlytics.hall]\nendpoint = "http://192.0.2.20:48462/"\n'


def mistakes(text: str) -> str:
    with pytest.raises(InvalidConfigError) as raised:
        loads(text)
    return str(raised.value)


def test_a_section_becomes_a_poll():
    """The zone of the site is taken where the section has none, and origins are compared without capitals."""
    config = loads(
        '[site]\nzone = "Europe/Lisbon"\n'
        + HALL
        + 'rules = [{rule = "Enter", direction = "in", zone = "h"}]\n'
        'count_origins = ["pedestrians"]\n[zones.h]\n'
    )
    (poll,) = camlytics_polls(config)
    assert ("camlytics.hall", "http://192.0.2.20:48462") == (poll.name, poll.endpoint)
    assert "Europe/Lisbon" == str(poll.instance.zone)
    assert {"pedestrian"} == poll.instance.origins
    assert "in" == poll.instance.rule(" enter ").direction


def test_a_section_goes_on_over_a_reload_unless_it_changed():
    """Equal sections make equal polls, so that a reload does not disturb them."""
    assert camlytics_polls(loads(HALL)) == camlytics_polls(loads(HALL))
    assert camlytics_polls(loads(HALL)) != camlytics_polls(loads(HALL + "limit = 60\n"))


@pytest.mark.parametrize("line", ['mode = "webhook"', "enabled = false"])
def test_what_is_not_asked_has_no_poll(line):
    """A PC that sends webhooks, or is switched off, is left alone."""
    config = loads(f"{HALL}{line}\n")
    assert [] == camlytics_polls(config)
    assert ("enabled" not in line) == bool(instances(config))


def test_the_whole_source_can_be_switched_off():
    """Without the source neither webhooks are read nor polls made."""
    config = loads(HALL + "[sources.camlytics]\nenabled = false\n")
    assert [] == camlytics_polls(config)
    assert "camlytics" not in {source.name for source in reception(config).sources}


def test_a_token_is_known_at_the_port_and_is_not_in_the_hash():
    """Its webhooks are known by the path; the hash of the configuration tells nothing about it."""
    one, other = loads(f'{HALL}token = "a1"\n'), loads(f'{HALL}token = "b2"\n')
    assert {"a1"} == reception(one).tokens
    assert one.hash == other.hash


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[camlytics.hall]\n", 'write endpoint = "http://192.168.1.20:48462"'),
        ('[camlytics.hall]\nendpoint = "http://h/v1/json"\n', 'write "http://h"'),
        ('[camlytics.hall]\nendpoint = "192.0.2.20:48462"\n', "http://192.0.2.20:48462"),
        (HALL + 'rules = [{rule = "Enter"}]\n', "says neither direction nor zone"),
        (HALL + 'rules = [{rule = "Enter", direction = "inside"}]\n', "in, out, ignore"),
        (HALL + 'rules = [{rule = "Enter", directon = "in", zone = "h"}]\n', 'did you mean "direction"?'),
        (HALL + 'count_origins = ["Dog"]\n', "Pedestrian"),
        (HALL + "limit = 10\n", "50 to 10000"),
        (HALL + HALL.replace("hall", "annex"), "everything would be counted twice"),
        (
            HALL + 'rules = [{rule = "a", direction = "in"}, {rule = "A", direction = "out"}]\n',
            "was named before",
        ),
        (
            HALL + 'token = "x"\n' + HALL.replace("hall", "annex").replace("20", "21") + 'token = "x"\n',
            "is the token of [camlytics.hall] too",
        ),
        (HALL + 'token = "x"\n[devices.d]\ntoken = "x"\n', "is the token of [devices.d] too"),
    ],
)
def test_a_mistake_is_said_so_that_it_can_be_corrected(text, said):
    """Each mistake names what is wrong or what to write."""
    assert said in mistakes(text)


@pytest.mark.parametrize(
    ("zones", "said"),
    [
        ("", "add a section [zones.hall]; it may be empty"),
        ("[zones.halls]\n", 'did you mean "halls"?'),
    ],
)
def test_a_rule_that_leads_into_no_zone_is_a_mistake(zones, said):
    """A zone that only a rule names counts nobody, so the check names the section that is missing."""
    rules = 'rules = [{rule = "Enter", direction = "in", zone = "hall"}]\n'
    told = mistakes(HALL + rules + zones)
    assert 'leads into the zone "hall", which is not configured' in told and said in told
    for good in (HALL + rules + "[zones.hall]\n", HALL + "enabled = false\n" + rules):
        assert loads(good)
    assert loads(HALL + rules.replace('"hall"', '"site"'))
