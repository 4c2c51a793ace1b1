"""The command `gateway` whose own syncs do nothing; those of SQLite stay. The product has no such option."""

import os

os.fsync = os.fdatasync = lambda _handle: None

if __name__ == "__main__":
    from gateway.__main__ import main  # when nobody can have kept the real ones

    main()
