"""The HTTPS receiver of the bench as a process of its own: it checks signatures and counts what it took.

Started as ``python upstream.py DIRECTORY``. It prints where it listens, then answers each line on
standard input: "count" with its ledger, "forget" with an empty one. It ends when standard input does.
"""

import json
import sys
from pathlib import Path

from gateway.simulate.receiver import Receiver
from gateway.simulate.receiver.arrivals import Arrivals


def main(directory: Path) -> None:
    secret = (directory / "signing-secret").read_text()
    with Receiver(directory, secrets=(secret,)) as receiver:
        _say({"url": receiver.url, "ca": str(receiver.ca_file)})
        for line in sys.stdin:
            if line.strip() == "forget":
                receiver.ledger = Arrivals(keep_data=False)
                receiver.requests = 0
            _say(
                {
                    "unique": receiver.ledger.unique,
                    "deliveries": len(receiver.ledger),
                    "requests": receiver.requests,
                    "refused": receiver.bad_signatures + len(receiver.malformed),
                }
            )


def _say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
