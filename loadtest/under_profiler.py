"""python -m loadtest.under_profiler FILE MODULE [ARGUMENTS]: a module as a program, and where its time went in FILE."""

import runpy
import sys
from pathlib import Path

from loadtest.profiling import profiled

if len(sys.argv) < 3:
    sys.exit("usage: python -m loadtest.under_profiler FILE MODULE [ARGUMENTS]")
file, module = Path(sys.argv[1]), sys.argv[2]
sys.argv = sys.argv[2:]
with file.open("w") as out, profiled(out):
    runpy.run_module(module, run_name="__main__", alter_sys=True)
