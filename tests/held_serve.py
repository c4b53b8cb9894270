"""`panelist serve`, whose import of DSPy waits until a file is there: `python -m tests.held_serve FILE`.

The import fails with what the file says, or is made where it says nothing. Beside it, in `FILE.thread`, stands the name
of the thread that asked for DSPy.
"""

import sys
import threading
import time
from importlib.abc import MetaPathFinder
from pathlib import Path

from bot.cli import main


class Holding(MetaPathFinder):
    def __init__(self, until: Path) -> None:
        self._until = until

    def find_spec(self, name, path=None, target=None):
        if name == "dspy":
            self._until.with_suffix(".thread").write_text(threading.current_thread().name)
            while not self._until.exists():
                time.sleep(0.01)
            if fault := self._until.read_text():
                raise ImportError(fault)


if __name__ == "__main__":
    sys.meta_path.insert(0, Holding(Path(sys.argv[1])))
    sys.exit(main(["serve"]))
