"""The health counters of Camio: what each means, and the value up to which all is well."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counter:
    """One health counter."""

    wanted: int  # all is well up to this value
    meaning: str
    action: str


COUNTERS: Mapping[str, Counter] = {
    "stream_changed_offline_count": Counter(
        0,
        "the stream of the camera went offline",
        "Check the camera's power, cable and address, and that the Camio Box reaches it.",
    ),
    "movies_discarded_count": Counter(
        0,
        "segments of video were dropped before they were analysed: the Camio Box is overloaded",
        "Take cameras off the Camio Box, lower their frame rate, or give it stronger hardware.",
    ),
    "events_purged_count": Counter(
        0,
        "events were removed before they were uploaded",
        "Check the uplink of the Camio Box and the space on its disk.",
    ),
    "movies_purged_count": Counter(
        0,
        "segments of video were gone when they were asked for",
        "Check the space on the disk of the Camio Box, and how long it keeps video.",
    ),
    "segmentation_process_restart_count": Counter(
        1,
        "the stream of the camera had to be fetched anew: the network to the camera is unstable",
        "Check the network between the camera and the Camio Box: cable, switch, Wi-Fi, address.",
    ),
    "upload_queue_length": Counter(
        99,
        "too much video waits for its upload",
        "Check the uplink of the Camio Box: it records faster than it can upload.",
    ),
}
