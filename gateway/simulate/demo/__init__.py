"""The whole main job on one machine, to look at: devices, the gateway, both far ends, and an account at the end.

Everything is on 127.0.0.1, and everything that was started ends with the demo, however it ends.
"""

from gateway.simulate.demo.running import Wish, run

__all__ = ["Wish", "run"]
