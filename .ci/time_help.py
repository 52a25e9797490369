"""Times `batchrunner --help` beside `import click` and an empty program; decides nothing."""

import statistics
import subprocess
import sys
import time

PROGRAMS = {
    "python -c pass": ["-c", "pass"],
    "import click": ["-c", "import click"],
    "batchrunner --help": ["-m", "batchrunner", "--help"],
    "batchrunner run --help": ["-m", "batchrunner", "run", "--help"],
}


def milliseconds(args: list[str]) -> float:
    """Return the median time of nine runs."""
    taken = []
    for _ in range(9):
        start = time.perf_counter()
        subprocess.run([sys.executable, *args], stdout=subprocess.DEVNULL, check=True)
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


for name, args in PROGRAMS.items():
    sys.stdout.write(f"{name:24} {milliseconds(args):6.0f} ms\n")
