"""`panelist serve`, whose disk is full from SIGUSR1 until SIGUSR2: `python -m tests.starved_serve FOLDER`.

The limit on a file's size stands in for the room on a disk: it needs no rights, and writes fail as they would there.
"""

import resource
import signal
import sys

from bot.cli import main


def room(number: int, _: object) -> None:
    most = 1 if number == signal.SIGUSR1 else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


if __name__ == "__main__":
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, room)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sys.exit(main(["serve", "--front-end", f"folder:{sys.argv[1]}"]))
