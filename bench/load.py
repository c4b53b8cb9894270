"""One load of the project, or of what it is held against, in this process. `python -m bench.load '{…}'`."""

import json
import sys

from bench import loops
from bench.contenders import CONTENDERS
from bench.peers.measuring import Load, many_files, measure, run_on

if __name__ == "__main__":
    many_files()
    load = Load(**json.loads(sys.argv[1]))
    measuring = measure(load, CONTENDERS[load.contender])
    print(json.dumps(run_on(load.loop, measuring) if load.loop else loops.run(measuring)))
