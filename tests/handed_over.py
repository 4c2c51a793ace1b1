"""The command `gateway` behind sockets that were open before: as systemd does it, with the descriptors of HANDED_FDS.

`handed_over.py …` does what `gateway …` does. The process id that LISTEN_PID must name is known only in here.
"""

import os

from gateway.__main__ import main

if __name__ == "__main__":
    given = [int(number) for number in os.environ.pop("HANDED_FDS").split(",")]
    kept = [os.dup2(number, 100 + place) for place, number in enumerate(given)]
    for place, number in enumerate(kept):
        os.dup2(number, 3 + place)
        os.close(number)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(given))}
    main()
