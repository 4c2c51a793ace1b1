"""The HTTPS sink: events as signed CloudEvents to one upstream endpoint.

Importing this package must stay cheap: the HTTP client is imported when a sink is built.
"""

from gateway.sinks.https.options import HttpsOptions
from gateway.sinks.https.sink import HttpsSink

__all__ = ["HttpsOptions", "HttpsSink"]
