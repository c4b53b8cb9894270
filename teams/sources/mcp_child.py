"""Stands between this process and an MCP server that is a program: ends the server, and all that it started, with us.

Run as a script: the number of a pipe, then the server's command. It opens the server with its own input and output,
which it then lets go of. When the other end of the pipe is closed, which also happens when the parent is killed, the
whole process group is ended; so it is when the server ends. Imports nothing that is slow.
"""

import os
import signal
import subprocess
import sys
import threading
import time

GRACE = 1.0
"""Seconds between being asked to end and being killed."""


def main() -> None:
    """The script."""
    # A handler, unlike an ignored signal, is not handed down to the server.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server = subprocess.Popen(sys.argv[2:])  # noqa: S603 - what the admin's file says
    except OSError as error:
        sys.stderr.write(f"{error.strerror}\n")
        sys.exit(127)
    nothing = os.open(os.devnull, os.O_RDWR)
    for ours in (0, 1):
        # Else the parent would not see that the server has closed its output.
        os.dup2(nothing, ours)
    threading.Thread(target=_end_with_parent, args=(int(sys.argv[1]),), daemon=True).start()
    server.wait()
    _end_group(0.1)


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    _end_group(GRACE)


def _end_group(grace: float) -> None:
    os.killpg(0, signal.SIGTERM)
    time.sleep(grace)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
