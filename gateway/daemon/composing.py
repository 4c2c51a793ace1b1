"""Turn a configuration into the parts of the gateway."""

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

from gateway import album
from gateway.config import Config
from gateway.config.addresses import Network
from gateway.config.sink_sections import AnySink, HttpsSection, MqttSection
from gateway.daemon.camlytics import instances
from gateway.daemon.zones import zoning
from gateway.event import slug
from gateway.forwarder import Pacing, Rendering
from gateway.guard import BodyLimits
from gateway.intake import Policy
from gateway.listener import Limits
from gateway.outbox import Bounds, Drafting, Rules, Settings, site_zone
from gateway.receiver import Reception
from gateway.receiver.pins import Pin, Pins, digest
from gateway.retry import Backoff
from gateway.sink import Sink, State
from gateway.sources import registry

_GATHER_MQTT_S = 0.005
_GATHER_HTTPS_S = 0.2


def store_settings(config: Config) -> Settings:
    """Say how and where events are kept."""
    store = config.store
    return Settings(
        directory=store.path,
        drafting=drafting(config),
        keep_days=store.keep_days,
        max_bytes=store.max_bytes,
        min_free_bytes=store.min_free_bytes,
        ballast_bytes=store.ballast_bytes,
        when_full=store.when_full,
        commit_queue=store.commit_queue,
        letters=Bounds(store.letters_per_sender, store.letters_max, store.letters_bytes),
        admission=admission(config),
        zoning=zoning(config),
    )


def admission(config: Config) -> Rules:
    """Say who may come without being asked."""
    section = config.adoption
    return Rules(
        hold=section.unknown_devices == "hold",
        max_devices=section.max_devices,
        per_address=section.per_address,
        held_devices=section.held_devices,
        held_per_device=section.held_per_device,
        # What nobody has adopted must not make the store full for those who were.
        held_bytes=min(section.held_bytes, config.store.max_bytes // 8),
        configured=frozenset(device.id for device in config.devices.values() if device.id),
    )


def drafting(config: Config) -> Drafting:
    """Say how events become log entries."""
    return Drafting(
        zone=site_zone(config.site.zone),
        late_after_ms=int(config.events.late_after_s * 1000),
        late_after_count_ms=int(config.events.late_after_count_s * 1000),
    )


def reception(config: Config) -> Reception:
    """Say how pushes are understood."""
    sections = config.sources.by_name()
    known = registry(wanted(config), keep_pictures=config.pictures.keep, camlytics=instances(config))
    return Reception(
        sources=tuple(source for source in known if sections[source.name].enabled),
        gateway_id=config.gateway.id,
        zone=config.site.tzinfo,
        paths={name: section.path for name, section in sections.items() if section.path},
        tokens=frozenset(
            token
            for token in (
                *(device.token for device in config.devices.values()),
                *(pc.token for pc in config.camlytics.values()),
            )
            if token
        ),
        pins=pins(config),
    )


def pins(config: Config) -> Pins:
    """Say which devices may speak from where only."""
    pinned = {}
    for name, device in config.devices.items():
        word = device.path_secret_file
        if device.id and (device.address or word):
            pinned[device.id] = Pin(
                section=name, networks=device.address or (), word=digest(word.reveal()) if word else None
            )
    return Pins(pinned)


def wanted(config: Config) -> frozenset[str]:
    """Name the personal fields that some sink lists; no other is kept."""
    return frozenset().union(*(sink.personal for sink in config.sinks.values() if sink.enabled))


def picture_limits(config: Config) -> album.Limits:
    """Say which pictures are kept."""
    return album.Limits(config.pictures.keep, config.pictures.days, config.pictures.max_bytes)


def policy(config: Config) -> Policy:
    """Say what the owner decided about devices."""
    swapped = [device for device in config.devices.values() if device.swapped]
    tokens = frozenset(device.token for device in swapped if device.token)
    return Policy(
        swapped=frozenset(
            [*(device.id for device in swapped if device.id), *(f"path-{slug(token)}" for token in tokens)]
        ),
        swapped_tokens=tokens,
        personal=wanted(config),
    )


def body_limits(config: Config) -> BodyLimits:
    """Say how large a body may be and how long it may take."""
    listen = config.listen
    return BodyLimits(
        xml_bytes=listen.xml_bytes,
        json_bytes=listen.json_bytes,
        other_bytes=listen.other_bytes,
        body_deadline_s=listen.body_deadline_s,
        max_bodies_bytes=listen.max_bodies_bytes,
    )


def listen_limits(config: Config) -> Limits:
    """Say how many may connect and how long a head may take."""
    listen = config.listen
    return Limits(
        header_bytes=listen.header_bytes,
        connections=listen.connections,
        connections_per_address=listen.connections_per_address,
        keep_alive_s=listen.keep_alive_s,
        header_deadline_s=listen.header_deadline_s,
    )


def allowed(config: Config) -> Callable[[str], bool]:
    """Say which addresses may connect to the device port; this box itself always may."""
    return allows(config.listen.allow)


def allows(networks: Sequence[Network]) -> Callable[[str], bool]:
    """Say which addresses lie in these networks; this box itself always does."""
    known: dict[str, bool] = {}

    def allow(address: str) -> bool:
        verdict = known.get(address)
        if verdict is None:
            if len(known) > 10_000:
                known.clear()
            ip = ip_address(address)
            verdict = known[address] = ip.is_loopback or any(
                ip.version == net.version and ip in net for net in networks
            )
        return verdict

    return allow


def rendering(config: Config, name: str, key: str) -> Rendering:
    """Say how one sink sees the log."""
    return Rendering(
        gateway_id=slug(config.gateway.id),
        sink=name,
        pseudonym_key=bytes.fromhex(key),
        personal=frozenset(config.sinks[name].personal),
        late_after_ms=int(config.events.late_after_s * 1000),
    )


def names(config: Config) -> dict[str, str]:
    """Give the names that a person chose for devices, by the device's id or by the end of it for a path token."""
    chosen = {}
    for device in config.devices.values():
        if device.name and device.id:
            chosen[device.id] = device.name
        if device.name and device.token:
            chosen[f"path-{slug(device.token)}"] = device.name
    return chosen


def pacing(section: AnySink) -> Pacing:
    """Say how one sink is driven."""
    return Pacing(
        live_first=section.order == "live_first",
        start=section.start,
        rate_per_s=section.rate_per_s,
        backoff=Backoff(cap_s=section.backoff_max_s),
        gather_s=_gather_s(section),
    )


def _gather_s(section: AnySink) -> float:
    """Say how long a small batch may gather: a signed request costs about as much as fifty events."""
    if isinstance(section, MqttSection):
        return _GATHER_MQTT_S
    return _GATHER_HTTPS_S if section.batch > 1 else 0.0


def sink(
    config: Config,
    name: str,
    states: Callable[[], Awaitable[Sequence[State]]],
    status: Callable[[], bytes],
) -> Sink:
    """Build one sink; its library is imported only when it is used."""
    section = config.sinks[name]
    if isinstance(section, MqttSection):
        return _mqtt(config, name, section, states, status)
    return _https(config, name, section)


def _mqtt(
    config: Config,
    name: str,
    section: MqttSection,
    states: Callable[[], Awaitable[Sequence[State]]],
    status: Callable[[], bytes],
) -> Sink:
    from gateway.outlets import mqtt_options  # noqa: PLC0415 - see `sink`
    from gateway.sinks.mqtt import MqttSink  # noqa: PLC0415 - see `sink`

    return MqttSink(mqtt_options(config, name, section), states=states, status=status)


def _https(config: Config, name: str, section: HttpsSection) -> Sink:
    from gateway.outlets import https_options  # noqa: PLC0415 - see `sink`
    from gateway.sinks.https import HttpsSink  # noqa: PLC0415 - see `sink`

    return HttpsSink(https_options(config, name, section))
