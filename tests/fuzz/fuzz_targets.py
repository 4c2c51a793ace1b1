"""The table of fuzz targets: what is attacked, how long its inputs are, and which modules lead the fuzzer."""

from collections.abc import Callable
from dataclasses import dataclass

import fuzz_bytes
import fuzz_http
import fuzz_sources


@dataclass(frozen=True, slots=True)
class Target:
    """One parser under attack."""

    run: Callable[..., None]
    max_len: int = 512


TARGETS = {
    "people_counter": Target(fuzz_sources.people_counter, 1_024),
    "face_terminal": Target(fuzz_sources.face_terminal),
    "camlytics_webhook": Target(fuzz_sources.camlytics_webhook),
    "camlytics_poll": Target(fuzz_sources.camlytics_poll, 640),
    "camlytics_cloud_webhook": Target(fuzz_sources.camlytics_cloud_webhook),
    "camlytics_cloud_lists": Target(fuzz_sources.cloud_poll("camlytics_cloud_lists")),
    "camlytics_cloud_events": Target(fuzz_sources.cloud_poll("camlytics_cloud_events")),
    "camlytics_cloud_totals": Target(fuzz_sources.cloud_poll("camlytics_cloud_totals")),
    "camlytics_cloud_histograms": Target(fuzz_sources.cloud_poll("camlytics_cloud_histograms")),
    "camio": Target(fuzz_sources.camio),
    "callbacks_port": Target(fuzz_sources.callbacks_port),
    "xml": Target(fuzz_bytes.xml, 640),
    "json": Target(fuzz_bytes.json_text, 384),
    "redaction": Target(fuzz_bytes.redaction, 320),
    "masking": Target(fuzz_bytes.masking, 320),
    "http11": Target(fuzz_http.http11, 512),
    "configuration": Target(fuzz_bytes.configuration, 384),
    "control": Target(fuzz_bytes.control, 256),
    "terminal": Target(fuzz_bytes.terminal, 256),
}
