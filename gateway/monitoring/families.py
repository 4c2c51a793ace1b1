"""Every metric of the gateway. The labels are few and their values bounded: no person, no device, no address.

One per device would grow with the site, and tell who stands where; `gateway devices` and the states on MQTT have that.
"""

from gateway.monitoring.exposition import Family

_SINK, _PORT = ("sink",), ("port",)

FAMILIES = (
    Family(
        *("gateway_info", "gauge", "Who this is; always 1."),
        ("gateway", "site", "version", "config_hash"),
    ),
    Family("gateway_healthy", "gauge", "1 when it receives and delivers, as /healthz says."),
    Family("gateway_ready", "gauge", "1 when the store and the ports are open, as /readyz says."),
    Family("gateway_faults", "gauge", "Faults that stand now, by their code.", ("code",)),
    Family(
        "gateway_clock_synced", "gauge", "1 when somebody who knows the time has set the clock of this box."
    ),
    # What comes in
    Family("gateway_pushes_total", "counter", "Pushes that came in since the start.", _PORT),
    Family(
        *("gateway_events_total", "counter", "Events that were put on disk since the start."),
        ("source", "kind"),
    ),
    Family(
        "gateway_duplicate_events_total", "counter", "Events that were known already, since the start.", _PORT
    ),
    Family(
        *("gateway_unreadable_pushes_total", "counter", "Pushes that became a letter since the start."),
        _PORT,
    ),
    Family(
        *(
            "gateway_refused_pushes_total",
            "counter",
            "Pushes that were read and refused, so that the device keeps them.",
        ),
        _PORT,
    ),
    Family(
        *(
            "gateway_refused_requests_total",
            "counter",
            "Connections and requests that hit a limit, since the start.",
        ),
        ("port", "reason"),
    ),
    Family(
        *(
            "gateway_last_push_age_seconds",
            "gauge",
            "How long ago the last push came; missing before the first one.",
        ),
        _PORT,
    ),
    Family(
        "gateway_source_last_event_age_seconds",
        "gauge",
        "How long ago a source had its last new event; missing before the first one.",
        ("source",),
    ),
    Family("gateway_devices", "gauge", "Devices by what is known of their life.", ("state",)),
    Family("gateway_devices_waiting", "gauge", "Devices that push and that nobody has adopted."),
    # Where it goes
    Family(
        "gateway_sink_connected",
        "gauge",
        "1 when the far end is there and its last answer was no refusal.",
        _SINK,
    ),
    Family("gateway_sink_waiting_events", "gauge", "Events that are still to be sent.", _SINK),
    Family(
        *(
            "gateway_sink_oldest_waiting_age_seconds",
            "gauge",
            "Age of the oldest event that waits; 0 when none does.",
        ),
        _SINK,
    ),
    Family(
        "gateway_sink_received_events_total",
        "counter",
        "Events that this sink is owed, since it began.",
        _SINK,
    ),
    Family("gateway_sink_delivered_events_total", "counter", "Events that the far end took.", _SINK),
    Family("gateway_sink_lettered_events", "gauge", "Events that the far end refused for good.", _SINK),
    Family(
        "gateway_sink_expired_events_total", "counter", "Events that were given up for want of room.", _SINK
    ),
    Family("gateway_sink_lost_events_total", "counter", "Events that a damaged disk took.", _SINK),
    # Where it is kept
    Family("gateway_store_readable", "gauge", "1 when the store could be read for these figures."),
    Family("gateway_store_writable", "gauge", "1 when the last transaction was taken by the disk."),
    Family("gateway_commits_total", "counter", "Transactions since the start; each is one sync of the disk."),
    Family("gateway_letters", "gauge", "Letters that are kept, by their stage.", ("stage",)),
    Family("gateway_store_used_bytes", "gauge", "Bytes of the store that hold something."),
    Family("gateway_store_limit_bytes", "gauge", "Bytes of the store at which pushes are refused."),
    Family("gateway_store_size_bytes", "gauge", "Size of the store's file."),
    Family("gateway_wal_size_bytes", "gauge", "Size of the store's write-ahead log."),
    Family("gateway_ballast_bytes", "gauge", "Size of the ballast that is given back when the disk is full."),
    Family("gateway_disk_free_bytes", "gauge", "Free bytes of the disk that holds the store."),
    Family("gateway_disk_size_bytes", "gauge", "Size of the disk that holds the store."),
    Family("gateway_disk_reserve_bytes", "gauge", "Free bytes of the disk below which pushes are refused."),
    # The process, by the names that everybody uses
    Family("process_start_time_seconds", "gauge", "Start of the process, in Unix seconds."),
    Family("process_cpu_seconds_total", "counter", "Processor time of the process."),
    Family("process_resident_memory_bytes", "gauge", "Memory that the process has."),
    Family("process_open_fds", "gauge", "Files and connections that are open."),
    Family("process_max_fds", "gauge", "Files and connections that may be open."),
)
