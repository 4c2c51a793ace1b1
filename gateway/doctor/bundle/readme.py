"""The page inside the archive that says what is in it, what is not, and what could not be had."""

from collections.abc import Sequence

from gateway import __version__, clock

_ABOUT = {
    "doctor.txt": "what `gateway doctor` found, to read",
    "doctor.json": "the same for programs",
    "status.json": "what the running gateway says of itself, with its faults",
    "account.json": "what became of every event, per sink and device",
    "sinks.json": "how far each sink has got",
    "devices.json": "the devices: id, address, when they were heard, their figures",
    "letters.json": "what could not be read or delivered: when, from where and why; not what it was",
    "store.json": "the tables of the store and how many rows they have; nothing that is in them",
    "files.json": "the files of the store's folder and their sizes",
    "config.json": "every option as it is in effect, with what is secret blanked",
    "config-mistakes.txt": "what is wrong with the configuration file",
    "versions.json": "the versions of the gateway and the system, load and memory",
    "log.txt": "the log of the last three days, as far as there is room",
}
_LEFT_OUT = """Left out on purpose:
- passwords, tokens, keys, signing secrets, words in paths, queries and paths of addresses, values of headers;
- names and everything else that a device or a far end says in words; pictures; bodies of pushes; events;
- names that were given to devices, terminals, zones and the site in the configuration, and the environment.
*** stands where something was left out.

What is in it: host names and addresses of this site's network, ids of devices (they hold serial numbers), the name and
id of this gateway, figures.
"""


def text(members: Sequence[str], lacking: Sequence[str]) -> str:
    """Write the page."""
    lines = [
        f"Support archive of gateway {__version__}, made {clock.now().isoformat(timespec='seconds')}.",
        "It is made to be mailed. Look through it before you do: everything in it is plain text.",
        "",
        *(f"{name:<20} {_ABOUT.get(name, '')}".rstrip() for name in members),
        "",
        _LEFT_OUT,
    ]
    if lacking:
        lines += ["Could not be had, or not whole:", *(f"- {one}" for one in lacking), ""]
    return "\n".join(lines)
