"""The command `gateway` in the control group that GROUP_UNDER_TEST names, from its first byte of memory."""

import os
from pathlib import Path

if group := os.environ.get("GROUP_UNDER_TEST"):
    (Path(group) / "cgroup.procs").write_text(str(os.getpid()))

if __name__ == "__main__":
    from gateway.__main__ import main

    main()
