"""What the attacks share with the tests of the HTTP front: a client that sends exactly the bytes it is told to."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "http"))
