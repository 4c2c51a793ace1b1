"""What went wrong with the broker, as one sentence, a stable fault code and an action for a person."""

import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import SinkUnavailable
from gateway.sinks.mqtt.options import MqttOptions


class End(StrEnum):
    """Who ended a connection, and how."""

    CLOSED = "closed"  # the broker closed it and said nothing
    TOLD = "told"  # the broker sent a DISCONNECT with a reason
    UNREADABLE = "unreadable"  # the broker sent something that is not MQTT as we speak it
    FOREIGN = "foreign"  # what answered CONNECT is no broker
    UNASKED = "unasked"  # the broker sent what is MQTT and for others; no event of ours is the reason
    SILENT = "silent"  # the broker did not answer pings or acknowledge in time
    OURS = "ours"  # we left


@dataclass(frozen=True, slots=True)
class Loss:
    """How a connection ended. ``code`` is the broker's reason code, when it gave one."""

    end: End
    code: int = 0
    detail: str = ""

    @property
    def points_at_a_packet(self) -> bool:
        """Whether what ended the connection was an answer to one packet of ours."""
        return self.end is End.UNREADABLE or self.code in _ABOUT_A_PACKET

    @property
    def may_be_the_event(self) -> bool:
        """Whether an event of ours can have caused it at all."""
        return self.end in {End.CLOSED, End.UNREADABLE, End.SILENT} or self.code in _ABOUT_A_PACKET


_ABOUT_A_PACKET = frozenset({0x80, 0x81, 0x82, 0x83, 0x90, 0x95, 0x99})
_LOGIN = frozenset({0x86, 0x87, 0x8A, 0x8C})
_TAKEN_OVER = 0x8E
_NOT_AUTHORISED = 0x87
_BAD_CLIENT_ID = 0x85
_BAD_VERSION = 0x84

_CERTIFICATE = {  # OpenSSL's verification codes
    9: "it is not valid yet; check the gateway's clock",
    10: "it has expired; renew the broker's certificate, or check the gateway's clock",
    18: "it is self-signed; give its file as the CA",
    19: "its CA is not one that the gateway trusts; give the CA's file",
    20: "its CA is not one that the gateway trusts; give the CA's file",
    21: "its CA is not one that the gateway trusts; give the CA's file",
    62: "it is made for another name; use the name that is in the certificate",
    64: "it is made for another address; use the name or address that is in the certificate",
}

_REFUSALS = {  # PUBACK reason codes, as a person may read them
    0x80: "unspecified error",
    0x83: "implementation specific error",
    0x87: "not authorised",
    0x90: "topic name invalid",
    0x91: "packet identifier in use",
    0x95: "packet too large",
    0x97: "quota exceeded",
    0x99: "payload format invalid",
}
NEVER = frozenset({0x90, 0x95, 0x99})  # no later attempt can end otherwise
SUSPICIOUS = frozenset({0x80, 0x83})  # the broker will not say whether it is this event or itself


def out_of_reach(error: Exception, options: MqttOptions) -> SinkUnavailable:
    """Say why no connection came about."""
    at = options.endpoint
    if isinstance(error, ssl.SSLCertVerificationError):
        cause = _CERTIFICATE.get(error.verify_code, error.verify_message)
        return SinkUnavailable(f"The certificate of {at} is refused: {cause}.", fault="mqtt_tls")
    if isinstance(error, socket.gaierror | UnicodeError):
        why = error.strerror if isinstance(error, socket.gaierror) else "it is not a usable name"
        return SinkUnavailable(
            f"The name {options.host!r} does not resolve ({why}): check the endpoint, and the name server of the site.",
            fault="mqtt_name",
        )
    if isinstance(error, ConnectionRefusedError):
        return SinkUnavailable(
            f"{at}: that computer answers, but no broker listens at this port.",
            fault="mqtt_refused",
        )
    if isinstance(error, TimeoutError):
        return SinkUnavailable(
            f"{at} did not answer within {options.connect_timeout_s:g} s: check the address, and firewalls between.",
            fault="mqtt_timeout",
        )
    if isinstance(error, ssl.SSLError) or (options.tls and isinstance(error, ConnectionError)):
        return SinkUnavailable(
            f"TLS with {at} failed ({getattr(error, 'reason', None) or error}): check that this port speaks TLS, "
            "and whether the broker wants a client certificate.",
            fault="mqtt_tls",
        )
    return SinkUnavailable(f"{at} cannot be reached: {error}.", fault="mqtt_unreachable")


def no_answer(options: MqttOptions) -> SinkUnavailable:
    """Say that the connection stands and CONNECT got no answer."""
    return SinkUnavailable(
        f"{options.endpoint} accepts connections and does not answer MQTT {options.version_name} within "
        f"{options.connect_timeout_s:g} s: check the port{_other_version(options)}.",
        fault="mqtt_timeout",
    )


def refused(code: int, reason: str, options: MqttOptions) -> SinkUnavailable:
    """Say why the broker refused CONNECT."""
    at, said = options.endpoint, f"{reason} (0x{code:02x})"
    if code in _LOGIN:
        if options.username:
            why = f"refuses the user {options.username!r}: {said}. Its password is wrong, or the broker does not know it."
        else:
            why = f"wants a login: {said}. This box showed no user and password."
        return SinkUnavailable(f"{at} {why}", fault="mqtt_login")
    if code == _BAD_VERSION:
        return _wrong_version(options)
    if code == _BAD_CLIENT_ID:
        return SinkUnavailable(
            f"{at} refuses the client id {options.client_id!r}: {said}. Set client_id to one that it takes.",
            fault="mqtt_client_id",
        )
    return SinkUnavailable(f"{at} refuses the connection: {said}.", fault="mqtt_unwilling")


def no_qos_1(options: MqttOptions) -> SinkUnavailable:
    """Say that nothing can be known to arrive there."""
    return SinkUnavailable(
        f"{options.endpoint} takes no QoS 1, without which nothing can be known to arrive: use a broker that does.",
        fault="mqtt_no_qos_1",
    )


def ended_early(loss: Loss, options: MqttOptions) -> SinkUnavailable:
    """Say why a connection ended before CONNECT was answered."""
    if loss.end is End.FOREIGN:
        return SinkUnavailable(
            f"Something else than an MQTT broker answers at {options.endpoint}: {loss.detail}. Check the port.",
            fault="mqtt_refused",
        )
    if any(word in loss.detail.lower() for word in ("ssl", "tls", "certificate")):
        return SinkUnavailable(
            f"{options.endpoint} ended TLS ({loss.detail}): check whether it wants a client certificate, and which.",
            fault="mqtt_tls",
        )
    if loss.end is End.UNREADABLE:
        return _wrong_version(options)
    tls = "" if options.tls else ", that it does not want TLS"
    return SinkUnavailable(
        f"{options.endpoint} closed the connection instead of answering CONNECT: check the port"
        f"{tls}{_other_version(options)}.",
        fault="mqtt_refused",
    )


def lost(loss: Loss, options: MqttOptions) -> SinkUnavailable:
    """Say how an established connection ended."""
    at, detail = options.endpoint, f" ({loss.detail})" if loss.detail else ""
    if loss.code == _TAKEN_OVER:
        return taken_over(options)
    if loss.code == _NOT_AUTHORISED:
        return SinkUnavailable(
            f"{at} ended the connection: not authorised. Check what it allows client {options.client_id!r} to write.",
            fault="mqtt_not_authorised",
        )
    if loss.end is End.SILENT:
        return SinkUnavailable(f"{at} stopped answering{detail}.", fault="mqtt_timeout")
    if loss.end is End.UNASKED:
        return SinkUnavailable(
            f"{at} sends messages that nobody asked for{detail}, and the gateway reads none: check that this is your "
            "broker, and that it subscribes its clients to nothing by itself.",
            fault="mqtt_unasked",
        )
    if loss.end is End.UNREADABLE:
        return SinkUnavailable(f"{at} sent an answer that cannot be read{detail}.", fault="mqtt_lost")
    return SinkUnavailable(f"{at} closed the connection{detail}.", fault="mqtt_lost")


def lost_at_greeting(loss: Loss, topic: str, options: MqttOptions) -> SinkUnavailable:
    """Say that the connection ended before the first message was acknowledged."""
    if loss.end is not End.CLOSED:
        return lost(loss, options)
    return SinkUnavailable(
        f"{options.endpoint} closed the connection on the first message, on {topic}: check what it allows client "
        f"{options.client_id!r} to write, and its own log.",
        fault="mqtt_lost",
    )


def taken_over(options: MqttOptions) -> SinkUnavailable:
    """Say that somebody else uses our client id."""
    return SinkUnavailable(
        f"{options.endpoint} gave our place to another client with the client id {options.client_id!r}: "
        "give each gateway, and each of its MQTT sinks, an id of its own.",
        fault="mqtt_client_id_taken",
    )


def thrown_out(options: MqttOptions) -> SinkUnavailable:
    """Say that the broker closes again and again, and why that mostly is; MQTT 3.1.1 has no words for it."""
    return SinkUnavailable(
        f"{options.endpoint} closes every connection soon after it is made. Most likely another client uses the "
        f"client id {options.client_id!r}, or the broker does not let it publish here; the broker's log says which.",
        fault="mqtt_client_id_taken",
    )


def refusal(code: int) -> str:
    """Name a PUBACK reason code."""
    return f"{_REFUSALS.get(code, 'refused')} (0x{code:02x})"


def refused_event(code: int, topic: str, options: MqttOptions, delivered: int) -> SinkUnavailable:
    """Say that the broker did not take an event, and may take it later."""
    said = refusal(code)
    if code == _NOT_AUTHORISED:
        return SinkUnavailable(
            f"{options.endpoint} does not let client {options.client_id!r} publish on {topic}: {said}. "
            "Allow it in the broker's access rules.",
            delivered=delivered,
            fault="mqtt_not_authorised",
        )
    return SinkUnavailable(
        f"{options.endpoint} does not take events now: {said} for {topic}.",
        delivered=delivered,
        fault="mqtt_unwilling",
    )


def _wrong_version(options: MqttOptions) -> SinkUnavailable:
    other = "3.1.1" if options.version == 5 else "5"
    return SinkUnavailable(
        f"{options.endpoint} does not speak MQTT {options.version_name}: "
        f'set version = "{other}" for this sink, and check the port.',
        fault="mqtt_version",
    )


def _other_version(options: MqttOptions) -> str:
    return ', and if the broker speaks only MQTT 3.1.1 set version = "3.1.1"' if options.version == 5 else ""
