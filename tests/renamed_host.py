"""The command `gateway` on a host of another name: `renamed_host.py NAME …` does what `gateway …` does on it."""

import socket
import sys

from gateway.__main__ import main

if __name__ == "__main__":
    NAME = sys.argv.pop(1)
    socket.gethostname = lambda: NAME
    main()
