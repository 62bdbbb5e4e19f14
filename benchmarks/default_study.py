"""The default study, timed on two processes, with its report.

    python benchmarks/default_study.py [--jobs 2]

Results: report, tables and the seconds that it took, in ``results/study``.
"""

import argparse
import json
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

from deis.study import load_study

RESULTS = pathlib.Path(__file__).parent / "results" / "study"


def command(*words: object) -> float:
    """Seconds that a command of ``deis study`` takes, start of the program included."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "deis", "study", *map(str, words)], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Run, report, and keep what the report consists of."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    jobs = parser.parse_args().jobs
    RESULTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        seconds = command("run", "--outdir", folder, "--jobs", jobs)
        reported = command("report", folder)
        study, _ = load_study(f"{folder}/study.toml")
        for name in ("report.html", "results.csv", "results.tex"):
            shutil.copy(pathlib.Path(folder) / name, RESULTS / name)
    figures = {
        "jobs": jobs,
        "integrators": len(study.integrator),
        "budgets": list(study.budgets),
        "seeds": study.seeds,
        "seconds": round(seconds, 1),
        "seconds_of_the_report": round(reported, 1),
        "machine": platform.machine(),
    }
    (RESULTS / "seconds.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(figures)


if __name__ == "__main__":
    main()
