"""Turn the section of a sink into the options of its library: the same for who delivers and for who looks at the way."""

import ssl
from typing import TYPE_CHECKING

from gateway.config import Config
from gateway.config.sink_sections import AnySink, HttpsSection, MqttSection
from gateway.event import slug

if TYPE_CHECKING:
    from gateway.sinks.https import HttpsOptions
    from gateway.sinks.mqtt import MqttOptions

_CONNECT_S = 10.0  # the most that a broker may take to connect
_SINGLE_WINDOW = 50


def mqtt_options(config: Config, name: str, section: MqttSection) -> "MqttOptions":
    """Say which broker a sink publishes to, and how."""
    from gateway.sinks.mqtt import MqttOptions  # noqa: PLC0415 - a gateway without a broker does not pay for it

    return MqttOptions(
        name=name,
        host=section.host,
        port=section.port,
        tls=tls_context(section) if section.tls else None,
        username=section.username,
        password=section.password_file.reveal() if section.password_file else None,
        client_id=config.client_id(name),
        base=section.base,
        gateway_id=slug(config.gateway.id),
        version=5 if section.version == "5" else 4,
        keepalive_s=section.keepalive_s,
        window=section.window,
        inflight=section.inflight,
        max_packet_bytes=section.max_packet_bytes,
        timeout_s=section.timeout_s,
        connect_timeout_s=min(section.timeout_s, _CONNECT_S),
    )


def https_options(config: Config, name: str, section: HttpsSection) -> "HttpsOptions":
    """Say where a sink posts to, and how."""
    from gateway.sinks.https import HttpsOptions  # noqa: PLC0415 - the same

    return HttpsOptions(
        name=name,
        endpoint=section.endpoint,
        gateway_id=slug(config.gateway.id),
        tls=tls_context(section) if section.tls else None,
        headers=section.headers,
        bearer=section.bearer_file.reveal() if section.bearer_file else None,
        secrets=tuple(secret.reveal() for secret in section.secret_file),
        batch=section.batch,
        batch_bytes=section.batch_bytes,
        gzip=section.gzip,
        timeout_s=section.timeout_s,
        # One request per event: a window of them must not take minutes of an upstream that is slow.
        window=section.window if section.batch > 1 else min(section.window, _SINGLE_WINDOW),
        insecure_http=section.insecure_http,
    )


def tls_context(section: AnySink) -> ssl.SSLContext:
    """Trust the system's authorities, or only the configured one; show our certificate if there is one."""
    context = ssl.create_default_context(cafile=str(section.ca_file.path) if section.ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if section.cert_file:
        key = str(section.key_file.path) if section.key_file else None
        context.load_cert_chain(str(section.cert_file.path), key)
    return context
