"""What is wrong right now, for people: a stable code, a subject, one sentence, one action.

A fault is raised when it is noticed and cleared when it is gone; raising it again only counts. The
sentence says what is wrong and where, with the figures of this case; the action belongs to the code.
"""

import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from gateway import clock
from gateway.errors import DISK_ADVICE

ACTIONS: dict[str, str] = {
    "callback_refused": "Check the proxy or tunnel in front; the reason says which limit or list of [callbacks] it hit.",
    "callback_unauthorised": "In the vendor's callback settings type the header exactly as secret_file of [callbacks] has"
    " it, and check that the proxy hands it on. If nobody of yours called, it was a stranger: nothing was kept of it.",
    "callbacks_closed": "Free the port or choose another one in [callbacks]; the gateway tries again by itself.",
    "camio_incident": "Look at the camera in Camio; the fault goes with a good value, or when Camio says no more of it.",
    "camlytics_cloud_busy": "Nothing to do: the gateway waits. If it lasts, find what else asks with the same API key.",
    "camlytics_cloud_error": "Read what the cloud says; check `endpoint`, and the state of Camlytics' cloud.",
    "camlytics_cloud_location_unknown": "Correct `locations` of this account in the configuration.",
    "camlytics_cloud_login": "Check `key_file` and `secret_file` against the API keys in the portal's settings.",
    "camlytics_cloud_nonce": "Create an API key for this gateway alone, and put it into `key_file` and `secret_file`.",
    "camlytics_cloud_page_full": "Compare the totals with the portal; report this with the figures.",
    "camlytics_cloud_totals": "Compare the hour with the portal; `check_totals = false` turns the check off.",
    "camlytics_cloud_trigger_by_name": "Write ids into `triggers` of this account, or let it be polled too.",
    "camlytics_cloud_trigger_off": "Switch the trigger on in the portal, or take it out of `triggers`.",
    "camlytics_cloud_trigger_unknown": "Correct `triggers` of this account: names and ids are as in the portal.",
    "camlytics_cloud_uncounted": 'Add them to `triggers` of this account, with direction "in", "out" or "ignore".',
    "camlytics_counted_twice": 'Take the line or the area out of `rules`, or give it direction = "ignore".',
    "camlytics_renumbered": "Nothing, if Camlytics was installed anew or restored; else look at its clock and database.",
    "camlytics_rules": 'Add the rules that the sentence names to `rules`, each with direction "in", "out" or "ignore".',
    "camlytics_two_ways": "Switch these webhooks off in Camlytics, or set `mode` to the way that you want; one way counts.",
    "camlytics_unknown": "Add a section [camlytics.NAME] with its address as `endpoint`, or type its `token` into the URL.",
    "totals_differ": "Compare both figures; if it stays, check the clock of the PC and report this with the log.",
    "devices_refused": "Adopt the devices that are yours and ignore the others: `gateway adopt` shows them. See [adoption].",
    "devices_waiting": "Run `gateway adopt`: it lists them, adopts yours, and ignores the others.",
    "certificate_clock": "Set the clock of this box: give it a time server (NTP), then look again.",
    "certificate_expires": "Have the certificate that the sentence names renewed before that day; then nothing stops.",
    "clock_missing": "Set site.zone in the configuration to the IANA zone of the site, for example Europe/Lisbon.",
    "clock_not_set": "Set the device's clock, or give it a time server; its menu calls this NTP.",
    "all_devices_silent": "Check the gateway's cable and switch, and that it has the address that the devices were given.",
    "device_silent": "Check the device's power, its cable and its network, and the gateway's address in its settings.",
    "clock_unsynced": 'Give this box a time server (NTP). Has it a right clock of its own? Set clock.trust to "plausible".',
    "clock_off": "Set the device's clock or give it a time server; the gateway never changes it.",
    "date_impossible": "Set the device's clock or give it a time server. Is its clock right? Then somebody else speaks"
    " in its name: find out who, by the address that `gateway devices` shows.",
    "config_card_rejected": "Read gateway-problems.txt on the card, correct gateway.toml there, and start the box again.",
    "config_card_unwritten": "Unlock the card, make room on it, or use another one; passwords may still stand on it.",
    "config_rejected": "Correct the lines that `gateway check` names, then reload; the last good configuration is in use.",
    "config_restart": "Restart the gateway to put these settings into effect.",
    "listen_differs": "Make both name the same: `systemctl edit gateway.socket` for the port, [listen] in the"
    " configuration. Until then the one of systemd is in use. Restart gateway.socket after a change of it.",
    "no_sink": "Add a [sinks.NAME] table to the configuration; config.example.toml shows how.",
    "https_broken": "Check the uplink and any proxy on the way; the gateway keeps trying and loses nothing.",
    "https_busy": "The upstream asks for patience; the gateway waits as long as it said.",
    "https_error": "The upstream has trouble of its own: ask its owner if this lasts.",
    "https_gone": "The upstream said that this endpoint is closed for good: correct `endpoint`, then reload.",
    "https_login": "Check the bearer token, the signing secret or the client certificate of this sink.",
    "https_name": "Check the host name in `endpoint` and the name server of this box.",
    "https_not_found": "Check the path in `endpoint`; nothing is dropped while it is wrong.",
    "https_redirect": "Put the address that the upstream redirects to into `endpoint`.",
    "https_refused": "Check that the upstream runs and that no firewall is between.",
    "https_rejects_all": "The upstream refuses every event as malformed: ask its owner what changed.",
    "https_test_refused": "Ask the upstream's owner to take events of the kind test and to ignore them; real ones may be"
    " taken all the same: `gateway sinks` tells. See docs/upstream.md.",
    "https_timeout": "Check the uplink; the gateway keeps trying and loses nothing.",
    "https_tls": "Check the upstream's certificate, `ca_file`, and the clock of this box.",
    "https_unexpected": "The upstream answers something that it should not: ask its owner, and check `endpoint`.",
    "https_unreachable": "Check the network cable, the router and the gateway's address.",
    "identity_shared": "Give each device its own serial number, or a DeviceId of its own; together they count as one. Is"
    " one of the two no device of yours? Pin the real one: `gateway devices --pins`.",
    "monitoring_closed": "Free the port or choose another one in [monitoring]; the gateway tries again by itself.",
    "mqtt_client_id": "The broker refuses this client_id: set another one.",
    "mqtt_client_id_taken": "Another client uses the same client_id: give each its own.",
    "mqtt_login": "Check `username` and `password_file` of this sink, and the broker's password file.",
    "mqtt_lost": "The connection broke; the gateway keeps trying and loses nothing. Check the network if this lasts.",
    "mqtt_name": "Check the host name in `endpoint` and the name server of this box.",
    "mqtt_no_qos_1": "The broker does not take QoS 1, without which nothing can be proven to arrive: use another broker.",
    "mqtt_not_authorised": "Allow this user to publish below the base topic in the broker's access list.",
    "mqtt_refused": "Check that the broker runs, listens on that address, and that no firewall is between.",
    "mqtt_timeout": "Check the network to the broker; the gateway keeps trying and loses nothing.",
    "mqtt_tls": "Check the broker's certificate, `ca_file`, and the clock of this box.",
    "mqtt_unasked": "The broker sends what nobody asked for: is it yours, and does it subscribe its clients by itself?",
    "mqtt_unreachable": "Check the network cable, the router and the address of the broker.",
    "mqtt_unwilling": "The broker refuses for now: look at its log, its limits and its disk.",
    "mqtt_version": "Set `version` of this sink to what the broker speaks.",
    "name_filtered": "Take the name off the list of the filter in the router or name server, or use another name server.",
    "name_ipv6_only": "Give this box a way to IPv6, or ask the owner of the far end for an IPv4 address of it.",
    "pinned_device_refused": "Has the device a new address? Reserve one for it in the router, or correct `address` in its"
    " section, then reload; it keeps what it has. Did the word in its URL change? Type it again. Else somebody at that"
    " address speaks in its name: find it. See docs/devices.md.",
    "poll_failed": "Check that the polled system runs and that its address is right; nothing is skipped meanwhile.",
    "poll_broken": "Check the network to the polled system if this lasts; nothing is skipped meanwhile.",
    "poll_busy": "The polled system asks for patience; the gateway waits as long as it said.",
    "poll_error": "Look at the log of the polled system; nothing is skipped meanwhile.",
    "poll_login": "Check the keys in the configuration, and whether the polled system allows this gateway.",
    "poll_name": "Check the host name in `endpoint` and the name server of this box, or write the address.",
    "poll_not_found": "Check host and port of `endpoint`, and that the interface is switched on there.",
    "poll_redirect": "Put the right address into `endpoint`; the gateway does not follow redirects.",
    "poll_refused": "Start the polled program on that computer (Camlytics, for one), or check host and port of `endpoint`"
    " and its firewall.",
    "poll_timeout": "Check that the computer is on, its firewall, and the network between.",
    "poll_tls": "Check the certificate there, the scheme in `endpoint`, and the clock of this box.",
    "poll_too_large": "Lower the limit of this poll in the configuration; report this if it does not help.",
    "poll_unreachable": "Check the network cable, the router, the address, and that the computer is on.",
    "poll_unreadable": "Look at the answer with `gateway letters list`; check `endpoint`. Nothing is skipped meanwhile.",
    "address_dhcp": "Reserve this address for the box in the router, or give the box a fixed one: devices are told it once.",
    "card_worn": "Replace the card soon: copy everything with `gateway backup`, and restore it on a new one.",
    "config_changed": "Run `gateway check`, then put it into effect: sudo gateway reload",
    "config_exposed": "Run: sudo chmod o-w /etc/gateway/config.toml",
    "config_unreadable": "Run: sudo chgrp gateway /etc/gateway/config.toml; sudo chmod 640 /etc/gateway/config.toml",
    "disk_errors": "Copy everything with `gateway backup`, and replace the card or disk; `dmesg` has the details.",
    "disk_failing": "Copy everything with `gateway backup` now, and replace the disk.",
    "disk_inodes": "Remove small files from the disk of store.path: `df -i` shows the disk, old logs are a good start.",
    "disk_read_only": "Start the box anew once. If it comes back, the card or disk is worn out: replace it.",
    "disk_unfit": "Set store.path to a folder on a local disk with ext4, and turn off what makes the card read-only.",
    "gateway_down": "Start it with: sudo systemctl start gateway; why it ended says: journalctl -u gateway -n 50",
    "gateway_hangs": "Restart it with: sudo systemctl restart gateway; nothing that was answered is lost by this.",
    "link_down": "Check the cable at both ends, and that the switch or the access point is on.",
    "memory_short": "Stop what else runs on this box: `top` shows what uses the memory. Does it last, restart the gateway.",
    "no_address": "Check the cable or the Wi-Fi, and that the router gives addresses; or give the box a fixed one.",
    "no_device_yet": "Pair one: `gateway pair counter` or `gateway pair terminal` says what to type into it.",
    "no_route": "Give the box the address of the router as its way out (default gateway).",
    "port_taken": "Stop that program, or set listen.port to another number and type that into the devices.",
    "port_unreachable": "Check the firewall of this box and listen.host; restart the gateway if both are right.",
    "reboot_needed": "Restart the box when it suits: sudo reboot. Devices keep meanwhile what they can.",
    "restart_needed": "Run: sudo systemctl restart gateway; no request is lost by this.",
    "runs_as_root": "Start it by its unit, which runs it as the user gateway: sudo systemctl start gateway",
    "secret_exposed": "Run: sudo chmod go= /etc/gateway/credentials/*; who else has an account here may know them by now.",
    "sink_behind": "Wait, if it was away until now: the rest follows. Else look at `gateway sinks`, and at its rate_per_s.",
    "store_damaged": "Restart the gateway: sudo systemctl restart gateway; the start rescues what can be read.",
    "store_exposed": "Run: sudo chmod o= /var/lib/gateway",
    "store_owner": "Run: sudo chown -R gateway:gateway /var/lib/gateway; then start the gateway by its unit only.",
    "too_hot": "Give the box air: no closed cabinet, no sun, a heat sink. Is there a fan, does it turn?",
    "under_voltage": "Use the power supply made for this box and a short cable, and take away what hangs on its USB ports.",
    "records_unreadable": "Look at them with `gateway letters list`; the reason says what could not be read.",
    "resolver_missing": "Give this box a name server: by DHCP from the router, or in its network settings.",
    "resolver_silent": "Check the name server's address in the network settings, the router, and the cable to it.",
    "sink_rejects": "Look at the events with `gateway letters list`; retry or drop them.",
    "sink_stalled": "Nothing is lost. Check the far end; if it is well, restart the gateway and report this with the log.",
    "sink_unavailable": "Nothing is lost; the gateway keeps trying. Check the far end if this lasts.",
    "pictures_given_up": "Free space on the disk of store.path, or set pictures.keep to false; no event is lost by this.",
    "ballast_missing": "Free space on the disk of store.path, or set store.ballast_bytes to a size that fits, or to 0.",
    "disk_full": "Free space on that disk: `sudo gateway doctor` helps to find what fills it. Is it a small disk, lower"
    " store.min_free_bytes.",
    "store_failed": f"{DISK_ADVICE} Devices are told to keep what they send until it works again.",
    "store_full": "Bring the sink that is behind back, free disk space, or raise store.max_bytes.",
    "store_restored": "Compare the totals of that day with another source. Remove the replaced store when nobody needs it.",
    "store_salvaged": "The damaged file is kept beside the store; copy it away for analysis, then remove it.",
    "task_restarted": "Report this with the log; the gateway restarted the part and goes on.",
    "terminal_points_elsewhere": "Pair it again with `gateway pair terminal`, or set reapply in its section of [terminals].",
    "terminal_refuses": "Look at the push setting on the terminal's own page; only its pushes tell whether it is right.",
    "terminal_unreachable": "Check its power, its cable and its address; what it sends meanwhile is kept on it.",
    "terminal_asks_to_open_door": "On the terminal, remove this gateway's address from remote_authentication_address.",
    "unreadable_pushes": "Look at the device with that sender's address: set it to a format in docs/people-counter.md,"
    " docs/face-terminal.md or docs/camio.md, or report it. `gateway letters list` shows what came.",
    "refused_sender": "Add the sender's network to listen.allow if it is yours.",
    "refused_request": "Check the sender; the reason says which limit of [listen] it hit.",
    "window_without_length": "Check the device's firmware: it reports windows that end when they begin.",
    "zone_damaged": "Count once who is in the zone and say it: `gateway occupancy ZONE --set N`. Check the disk: `dmesg`.",
    "zone_door_unheard": "Correct the door in the configuration (`gateway devices` lists them), or connect the device.",
    "zone_disagrees": "Set the time zone on the device, or site.zone in the configuration, so that both agree.",
}


# What is told first: where events are kept, then where they go; what a clock shows waits best.
_WEIGHT = (("store_", "disk_", "port_"), ("no_sink", "sink_", "mqtt_", "https_"))
_LIGHT = ("clock_", "zone_disagrees")


def weight(code: str) -> int:
    """Say how heavy a fault is: the less, the sooner a person is told."""
    heavy = next((place for place, begins in enumerate(_WEIGHT) if code.startswith(begins)), len(_WEIGHT))
    return len(_WEIGHT) + 1 if code.startswith(_LIGHT) else heavy


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    code: str
    subject: str  # which sink, device or address; "" for the gateway itself
    sentence: str
    action: str
    since: datetime
    count: int = 1
    last: datetime | None = None
    heard: float = 0.0  # steady seconds, at the last time

    def as_json(self) -> dict[str, object]:
        """Give the fault as JSON values."""
        return {
            "code": self.code,
            "subject": self.subject,
            "sentence": self.sentence,
            "action": self.action,
            "since": self.since.isoformat(timespec="seconds"),
            "count": self.count,
            "last": (self.last or self.since).isoformat(timespec="seconds"),
        }


class Faults:
    """The faults that stand. Bounded: hostile senders cannot fill it."""

    MAX_ALIKE = 50  # of one code
    MAX_MORE = 1_000  # subjects beyond that are only counted
    # What happened rather than what stands: forgotten when it has not happened again for so many seconds.
    PASSING: ClassVar[Mapping[str, float]] = {
        "callback_refused": 3600,
        "callback_unauthorised": 3600,
        "camlytics_rules": 86_400,
        "zone_damaged": 86_400,
        "camlytics_two_ways": 86_400,
        "camlytics_unknown": 86_400,
        "records_unreadable": 86_400,
        "date_impossible": 3600,
        "devices_refused": 3600,
        "identity_shared": 3600,
        "pinned_device_refused": 3600,
        "refused_request": 3600,
        "refused_sender": 3600,
        "task_restarted": 3600,
        "terminal_asks_to_open_door": 3600,
        "unreadable_pushes": 3600,
    }

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str], Fault] = {}
        self._more: dict[str, set[str]] = {}  # by code: whose fault stands as well, and had no room
        self._lock = threading.RLock()  # the status is read in a thread

    def report(
        self, code: str, subject: str, sentence: str, action: str | None = None, *, again: bool = True
    ) -> bool:
        """Note that something is wrong; True when this is news. Not ``again``: it stands, it did not happen."""
        now, heard = clock.now(), clock.steady()
        with self._lock:
            known = self._standing.get((code, subject))
            if known is not None:
                count = known.count + again
                self._standing[code, subject] = replace(
                    known,
                    sentence=sentence,
                    action=action or ACTIONS.get(code, known.action),  # it may happen for another reason now
                    count=count,
                    last=now,
                    heard=heard,
                )
                return False
            if not self._make_room(code):
                return self._count_in(code, subject)
            told = self._is_counted(code, subject)
            self._forget_more(code, subject)
            advice = action or ACTIONS.get(code, ACTIONS["sink_unavailable"])
            self._standing[code, subject] = Fault(code, subject, sentence, advice, now, heard=heard)
            return not told

    def _make_room(self, code: str) -> bool:
        """Let the oldest of the same code go: a noisy sender never pushes out what somebody else reported.

        Of faults that stand, and are reported again and again, none goes: False says that there is no room.
        """
        alike = [key for key in self._standing if key[0] == code]
        if len(alike) < self.MAX_ALIKE:
            return True
        if code not in self.PASSING:
            return False
        del self._standing[alike[0]]
        return True

    def _count_in(self, code: str, subject: str) -> bool:
        """Count a fault that has no room; True when it is news."""
        more = self._more.setdefault(code, set())
        if subject in more or len(more) >= self.MAX_MORE:
            return False
        more.add(subject)
        return True

    def _is_counted(self, code: str, subject: str) -> bool:
        return subject in self._more.get(code, ())

    def _forget_more(self, code: str, subject: str) -> bool:
        counted = self._is_counted(code, subject)
        if counted:
            self._more[code].discard(subject)
            if not self._more[code]:
                del self._more[code]
        return counted

    def clear(self, code: str, subject: str = "") -> bool:
        """Note that it is gone; True when it stood."""
        with self._lock:
            counted = self._forget_more(code, subject)
            return self._standing.pop((code, subject), None) is not None or counted

    def clear_subject(self, subject: str, prefixes: tuple[str, ...], *, but: str | None = None) -> bool:
        """Clear every fault of a subject whose code begins with one of the prefixes, all or all ``but`` one."""
        with self._lock:
            gone = [
                key
                for key in self._standing
                if key[1] == subject and key[0].startswith(prefixes) and key[0] != but
            ]
            for key in gone:
                del self._standing[key]
            counted = [code for code in self._more if code.startswith(prefixes) and code != but]
            more = [self._forget_more(code, subject) for code in counted]
            return bool(gone) or any(more)

    def shift(self, jump: timedelta) -> None:
        """Follow a jump of the clock: what began two minutes before it began two minutes ago."""
        with self._lock:
            for key, fault in self._standing.items():
                last = None if fault.last is None else fault.last + jump
                self._standing[key] = replace(fault, since=fault.since + jump, last=last)

    def __iter__(self) -> Iterator[Fault]:
        now = clock.steady()
        with self._lock:
            for key, fault in list(self._standing.items()):
                age_s = now - fault.heard
                if age_s > self.PASSING.get(fault.code, math.inf):
                    del self._standing[key]
            last = {code: (code, subject) for code, subject in self._standing if code in self._more}
            return iter([self._with_more(fault, last) for fault in self._standing.values()])

    def _with_more(self, fault: Fault, last: Mapping[str, tuple[str, str]]) -> Fault:
        """Say beside the newest of a code how many more there are."""
        if last.get(fault.code) != (fault.code, fault.subject):
            return fault
        return replace(
            fault, sentence=f"{fault.sentence} (And {len(self._more[fault.code])} more like this.)"
        )

    def __len__(self) -> int:
        with self._lock:
            return len(self._standing)
