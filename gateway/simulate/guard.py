"""Runs a program that must not outlive the process that wanted it: ``python guard.py PROGRAM …``.

The guard holds the reading end of a pipe from that process. When the pipe closes, for whatever reason, the
program is ended. A death signal would not do: it comes when the *thread* that started the program ends.
"""

import os
import subprocess
import sys
import threading


def main(program: list[str]) -> int:
    """Run the program, tell its process id on standard output, and end with its exit status."""
    child = subprocess.Popen(  # noqa: S603 - our own broker, not a user's text
        program, stdin=subprocess.DEVNULL, stdout=sys.stderr
    )
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    threading.Thread(target=_end_with_parent, args=(child,), daemon=True).start()
    return child.wait()


def _end_with_parent(child: "subprocess.Popen[bytes]") -> None:
    # The bare call: a thread inside sys.stdin would hold a lock that the end of the interpreter waits for.
    while os.read(0, 1):
        pass
    child.terminate()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
