"""Pair a face terminal: set where it pushes, read that back, wait for the first push."""

import anyio

from gateway.commands.asking import FAULT, plain
from gateway.commands.first_push import Waiting
from gateway.commands.pair_outcome import Ended, Say, Told, Wish, ready, wait
from gateway.config import Config
from gateway.config.path_words import WhichDevice, section_for, sections_with_word, with_word
from gateway.control.client import Client
from gateway.provisioning import Terminal, TerminalTrouble, masked_url, own_address, word_in

_ABSENT = (
    "Let somebody stand before the camera: a terminal says nothing until it sees a face.",
    "Check that no firewall closes the port: open the address in the browser of a phone in the terminal's network.",
    "A terminal that was given the setting keeps its records and sends them later: look at `gateway tail`.",
)


_FAMILY = "terminal-"


def pair_terminal(
    config: Config,
    address: str,
    url_path: str,
    wish: Wish,
    chosen: str | None,
    told: Told,
    say: Say,
) -> None:
    """Set where it pushes, read that back, wait for a push."""
    device = Terminal(address)
    ours, theirs = own_address(device.host, device.port)
    waiting = Waiting(Client(config.socket), "face_terminal", theirs)
    url = ready(config, waiting, wish.own or ours, wish.port, url_path, theirs)
    url = _with_its_word(config, waiting, url, url_path, theirs, chosen)
    told.url = masked_url(url)  # the word is between the gateway and the terminal
    say(f"Telling the terminal at {device.place} to push to {told.url}")
    anyio.run(_subscribe, device, url, told)
    say(_READ_BACK[str(told.read_back)])
    say(f"Waiting for its first push, for {wish.timeout_s:g} s. Let somebody stand before it.")
    wait(waiting, told, say, wish.timeout_s, _ABSENT)


_READ_BACK = {
    "same": "It took the setting, and says so when asked.",
    "empty": "It took the setting. What it answers when asked for it is empty, as its maker documents: only a push tells.",
    "unread": "It took the setting, and does not answer when asked for it: only a push tells.",
}


def _with_its_word(
    config: Config, waiting: Waiting, url: str, url_path: str, theirs: str, chosen: str | None
) -> str:
    """Put the secret word into the URL where the terminal is pinned to one, or every push would be refused."""
    if word_in(url) is not None:
        return url  # a person typed one
    try:
        section = (
            sections_with_word(config, _FAMILY).get(chosen)
            if chosen
            else section_for(config, _FAMILY, theirs, waiting.known_there())
        )
    except WhichDevice as which:
        raise Ended(
            str(which),
            "Pair it again with --device and its id, such as: --device terminal-sps7-0042. Its serial number is on it.",
            "With the id of a terminal that has no path_secret_file it gets a URL without a word.",
        ) from which
    path = url_path if url_path.startswith("/") else f"/{url_path}"
    return url.removesuffix(path) + with_word(path, section)


async def _subscribe(device: Terminal, url: str, told: Told) -> None:
    try:
        await device.subscribe(url)
    except TerminalTrouble as trouble:
        raise Ended(str(trouble), *_LOGIN.get(trouble.reason, ()), status=FAULT) from trouble
    told.set = True
    try:
        stated = await device.subscription()
    except TerminalTrouble:
        told.read_back = "unread"
        return
    told.read_back = "empty" if not stated.stated else "same" if stated.leads_to(url) else "other"
    if told.read_back == "other":
        where = (
            "nowhere: the push is switched off"
            if stated.enabled is False
            else masked_url(plain(stated.dest))[:200]
        )
        raise Ended(
            f"The terminal took the setting and still says that it pushes to {where}.",
            "Somebody or something else may be setting it: look at the terminal's own page, then pair again.",
        )


_LOGIN = {
    "login": (
        "On that page: event_dest is the URL that was shown above, enabled is true.",
        "Then let somebody stand before the terminal and look at `gateway tail`; see docs/face-terminal.md.",
    ),
}
