"""The command `gateway` with the syncs that a test chooses: `syncing_gateway.py FULL|NORMAL|OFF …`.

The product has no such option. The WAL is folded back often, so that a short life has many checkpoints.
"""

import sys

from gateway.__main__ import main
from gateway.outbox import connection

CHECKPOINT_PAGES = 200


def choose(synchronous: str) -> None:
    real = connection.open_writer

    def open_writer(path, **rest):
        conn = real(path, **rest)
        conn.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        if synchronous != "FULL":
            conn.execute(f"PRAGMA synchronous={synchronous}")
        return conn

    connection.open_writer = open_writer


if __name__ == "__main__":
    choose(sys.argv.pop(1))
    main()
