"""gateway.toml is taken over: the configuration for the gateway, the secrets for root alone, the card without them."""

import os

import pytest
from card_box import PASSWORD, SECRETS, SIGNING, TOML, mode

from gateway.config import settings
from gateway.firstboot.inlets import KEPT


def test_a_card_becomes_the_configuration_of_the_box(box):
    """What the person wrote is what the daemon loads, secrets included."""
    box.write(TOML)
    config = box.accepted()
    assert ("shop-1", "Old town", "Europe/Lisbon") == (
        config.gateway.id,
        config.gateway.name,
        config.site.zone,
    )
    assert PASSWORD == config.sinks["broker"].password_file.reveal()
    assert [SIGNING] == [one.reveal() for one in config.sinks["upstream"].secret_file]
    assert "bearer-4711-0815" == config.sinks["upstream"].bearer_file.reveal()


def test_secrets_are_for_root_alone_and_stand_nowhere_else(box):
    """Each secret is in one file of mode 0600 in a folder of mode 0700; no other file of card or box holds any."""
    box.write(TOML)
    box.accepted()
    folder = box.etc / "credentials"
    assert 0o700 == mode(folder)
    assert {
        "card-1.sinks.broker.password",
        "card-1.sinks.upstream.secret.1",
        "card-1.sinks.upstream.bearer",
    } == {path.name for path in folder.iterdir()}
    assert {0o600} == {mode(path) for path in folder.iterdir()}
    seen = box.everything_but_secrets()
    assert [] == [secret for secret in SECRETS if secret in seen]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to a group that it is not in")
def test_the_gateway_alone_reads_the_configuration(box, monkeypatch):
    """A path token may stand in it, and in the one of before: both are of the gateway's group, and closed to others."""

    class Runner:
        pw_gid = 54_321

    monkeypatch.setattr(settings, "user", Runner)
    box.etc.mkdir(exist_ok=True)
    box.config.write_text('[devices.door]\nsource = "people_counter"\ntoken = "k3v9-door"\n')
    box.write(TOML)
    box.accepted()
    files = (box.config, box.etc / "config.toml.before-card")
    assert [(0, 54_321, 0o640)] * 2 == [
        (file.stat().st_uid, file.stat().st_gid, mode(file)) for file in files
    ]


def test_only_the_secrets_of_the_card_are_changed(box):
    """Comments, blanks and the order of the person's file stay; in the place of each secret are words that say why."""
    box.write(TOML)
    box.accepted()
    wanted = TOML.replace('"hunter2 \\"quoted\\" \\\\ ä"', f'"{KEPT}"')
    wanted = wanted.replace(SIGNING, f"{KEPT[:-1]}: 1)").replace("'bearer-4711-0815'", f'"{KEPT}"')
    assert wanted == box.on_card()


def test_an_unchanged_card_does_nothing(box):
    """At the next start nothing is written, neither on the card nor on the box."""
    box.write(TOML)
    box.accepted()
    before = box.snapshot()
    assert "unchanged" == box.start().kind
    assert before == box.snapshot()


def test_a_change_by_hand_on_the_box_survives_an_unchanged_card(box):
    """Who has a shell may correct the configuration; the old card does not take it back."""
    box.write(TOML)
    box.accepted()
    box.config.write_text(box.config.read_text().replace("Old town", "New town"))
    assert "unchanged" == box.start().kind
    assert "New town" == box.loaded().gateway.name


def test_a_second_edit_is_taken_over_and_keeps_the_secrets(box):
    """The blanked card with another name in it changes the name, and the secrets stay what they were."""
    box.write(TOML)
    box.accepted()
    box.write(box.on_card().replace("Old town", "New town"))
    config = box.accepted()
    assert ("New town", PASSWORD) == (config.gateway.name, config.sinks["broker"].password_file.reveal())
    assert [SIGNING] == [one.reveal() for one in config.sinks["upstream"].secret_file]
    assert 3 == len(list((box.etc / "credentials").iterdir()))


def test_a_new_secret_takes_the_place_of_the_old_one(box):
    """The new password is in a new file, the old file goes with the takeover after that, and the others stay."""
    box.write(TOML)
    box.accepted()
    box.write(box.on_card().replace(f'"{KEPT}"   # ask', '"swordfish"   # ask'))
    config = box.accepted()
    assert "card-2.sinks.broker.password" == config.sinks["broker"].password_file.name
    assert "swordfish" == config.sinks["broker"].password_file.reveal()
    assert "swordfish" not in box.everything_but_secrets()
    assert "card-1.sinks.broker.password" in {path.name for path in (box.etc / "credentials").iterdir()}
    box.write(box.on_card().replace("Old town", "New town"))
    box.accepted()
    assert {
        "card-2.sinks.broker.password",
        "card-1.sinks.upstream.secret.1",
        "card-1.sinks.upstream.bearer",
    } == {path.name for path in (box.etc / "credentials").iterdir()}


def test_the_same_secret_again_is_no_new_one(box):
    """The whole first text once more blanks the card again and makes no second file."""
    box.write(TOML)
    box.accepted()
    blanked = box.on_card()
    box.write(TOML)
    assert "unchanged" == box.start().kind
    assert blanked == box.on_card()
    assert 3 == len(list((box.etc / "credentials").iterdir()))


def test_a_signing_secret_is_changed_without_a_gap(box):
    """A new secret in front of the kept one signs with both, whichever place the old one has then."""
    box.write(TOML)
    box.accepted()
    fresh = "whsec_" + "QUJD" * 12
    box.write(box.on_card().replace('secret = ["', f'secret = ["{fresh}", "'))
    assert [fresh, SIGNING] == [one.reveal() for one in box.accepted().sinks["upstream"].secret_file]
    box.write(box.on_card().replace("Old town", "New town"))
    assert [fresh, SIGNING] == [one.reveal() for one in box.accepted().sinks["upstream"].secret_file]


def test_a_sink_that_is_taken_out_takes_its_secrets_along(box):
    """Two takeovers after a section is gone its secret is gone from the box."""
    box.write(TOML)
    box.accepted()
    without = box.on_card().partition("[sinks.upstream]")[0]
    box.write(without)
    box.accepted()
    box.write(without.replace("Old town", "New town"))
    box.accepted()
    assert ["card-1.sinks.broker.password"] == [path.name for path in (box.etc / "credentials").iterdir()]


def test_secrets_of_all_sections_are_known(box):
    """Callbacks, pinned devices and cloud accounts have their secrets on the card as sinks do."""
    box.write(
        '[callbacks]\nenabled = true\nsecret = "token 0123456789abcdef"\n'
        '[devices.door]\nid = "counter-000001"\npath_secret = "abcdefghijkl-1"\n'
        '[camlytics_cloud.shops]\nkey = "public-key-1"\nsecret = "private-key-2"\n'
        'triggers = [{trigger = "Enter", direction = "in"}]\n'
    )
    config = box.accepted()
    assert "token 0123456789abcdef" == config.callbacks.secret_file[0].reveal()
    assert "abcdefghijkl-1" == config.devices["door"].path_secret_file.reveal()
    account = config.camlytics_cloud["shops"]
    assert ("public-key-1", "private-key-2") == (account.key_file.reveal(), account.secret_file.reveal())
    seen = box.everything_but_secrets()
    assert [] == [word for word in ("0123456789abcdef", "abcdefghijkl-1", "-key-") if word in seen]


def test_a_configuration_of_a_person_is_kept_beside(box):
    """What stood in config.toml before the first card lies beside it, and later cards leave that copy alone."""
    box.config.write_text('# by hand\n[site]\nname = "before"\n')
    box.write(TOML)
    box.accepted()
    kept = box.etc / "config.toml.before-card"
    box.write(TOML.replace("Old town", "New town"))
    box.accepted()
    assert '# by hand\n[site]\nname = "before"\n' == kept.read_text()


def test_what_was_changed_on_the_box_is_kept_when_the_card_replaces_it(box):
    """A section written by hand goes with the next card, but lies beside it, and the person with the card is told."""
    box.config.write_text("# the first\n")
    box.write(TOML)
    box.accepted()
    first, second = (box.etc / f"config.toml.before-card{more}" for more in ("", "-2"))
    assert f"kept there as {first}.\r\n" in box.on_card("gateway-accepted.txt")
    mine = box.config.read_text() + '[devices.north-door]\nid = "counter-000001"\n'
    box.config.write_text(mine)
    box.write(box.on_card().replace("Old town", "New town"))
    box.accepted()
    assert ("# the first\n", mine) == (first.read_text(), second.read_text())
    said = box.on_card("gateway-accepted.txt")
    assert f"kept there as {second}.\r\n" in said
    assert "unchanged" == box.start().kind
    assert said == box.on_card("gateway-accepted.txt")
    box.write(box.on_card().replace("New town", "Harbour"))
    box.accepted()
    assert "kept there" not in box.on_card("gateway-accepted.txt")
    assert 2 == len(list(box.etc.glob("config.toml.before-card*")))


def test_without_the_record_nothing_is_kept_twice(box):
    """The same text is laid aside once, also where a start ended before the new settings were there."""
    box.config.write_text("# the first\n")
    (box.etc / "config.toml.before-card").write_text("# the first\n")
    box.write(TOML)
    box.accepted()
    assert 1 == len(list(box.etc.glob("config.toml.before-card*")))
    assert "kept there" in box.on_card("gateway-accepted.txt")


def test_the_person_learns_what_to_type_into_the_devices(box):
    """gateway-accepted.txt names the box, its address and the time, with the ends of line of Notepad."""
    box.write(TOML.replace("[site]", "[listen]\nport = 8090\n[site]"))
    box.accepted()
    said = box.on_card("gateway-accepted.txt")
    assert 'It is called shop-1, "Old town".\r\n' in said
    assert "http://192.168.1.10:8090/counter\r\n" in said
    assert box.record.when.replace("T", " ")[:16] in said
    assert said.count("\n") == said.count("\r\n") > 5


def test_an_address_that_comes_later_is_written_and_not_forgotten(box):
    """Without an address the file says so; a later start writes it, and one before DHCP has answered leaves it."""
    box.address = None
    box.write(TOML)
    box.accepted()
    assert "had no address" in box.on_card("gateway-accepted.txt")
    box.address = "192.168.1.23"
    assert "unchanged" == box.start().kind
    assert "http://192.168.1.23:8088/counter" in box.on_card("gateway-accepted.txt")
    before = box.snapshot()
    box.address = None
    box.start()
    assert before == box.snapshot()


@pytest.mark.parametrize("lost", ["config.toml", "card.json"])
def test_what_is_lost_on_the_box_is_made_anew(box, lost):
    """Without configuration or record the blanked card brings the same configuration with the same secrets."""
    box.write(TOML)
    box.accepted()
    before = box.config.read_bytes()
    (box.etc / lost).unlink()
    assert PASSWORD == box.accepted().sinks["broker"].password_file.reveal()
    assert before == box.config.read_bytes()


def test_another_box_does_not_invent_the_secrets(box):
    """A blanked card in a new box is refused with the line of each secret that must be written again."""
    box.write(TOML.replace('"hunter2 \\"quoted\\" \\\\ ä"', f'"{KEPT}"'))
    said = box.rejected()
    assert "Line 12, sinks.broker.password\r\n" in said
    assert "it has none" in said
    assert not box.config.exists()


def test_a_card_that_is_gone_changes_nothing(box):
    """Without a card the box keeps its configuration, and no word of an earlier mistake stands."""
    box.write(TOML)
    box.accepted()
    before = box.config.read_bytes()
    box.write("[sinks")
    box.rejected()
    assert box.record.rejected
    (box.card / "gateway.toml").unlink()
    assert "nothing" == box.start().kind
    assert ("", before) == (box.record.rejected, box.config.read_bytes())
