"""All experiments of the papers, in processes of one thread each.

What a folder already holds is not measured again, so that an interrupted run goes on where it stopped.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from tqdm import tqdm

from benchmarks.paper.experiment import RESULTS, parsed

SCRIPTS: Final = (  # the longest first, so that no process is left alone with one at the end
    "frechet_table",
    "eta",
    "black_box",
    "likelihood",
    "ablation",
    "variance_exploding",
    "time_grids",
    "reconstruction",
    "interpolation",
    "consistency",
    "fitting_error",
    "relative_change",
)
_SECONDS: Final = 60.0
ROOT: Final = Path(__file__).parents[2]


def main() -> None:
    """Run what is missing, with a progress bar."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper",
        description=__doc__,
        epilog="example: python -m benchmarks.paper --jobs 2 --force",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help=f"which ones: {', '.join(SCRIPTS)} (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    parser.add_argument("--force", action="store_true", help="measure again what is there")
    chosen = parsed(parser)
    if chosen.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {chosen.jobs}")
    unknown = [name for name in chosen.scripts if name not in SCRIPTS]
    if unknown:
        parser.error(f"no script named {unknown[0]!r}; there are {', '.join(SCRIPTS)}")
    wanted = [name for name in SCRIPTS if name in (chosen.scripts or SCRIPTS)]
    missing = [name for name in wanted if chosen.force or not _is_there(chosen.outdir, name)]
    failed = run(missing, chosen.outdir.resolve(), chosen.jobs, ["--quick"] if chosen.quick else [])
    print(f"Results and figures: {chosen.outdir} ({len(wanted) - len(missing)} were there)")
    if failed:
        sys.exit(f"error: {', '.join(failed)} failed")


def run(scripts: Sequence[str], outdir: Path, jobs: int, options: Sequence[str]) -> list[str]:
    """Run scripts side by side; their tables are printed as they end. Returns those that failed."""
    failed = []
    costs = {name: _seconds(name) for name in scripts}
    bar = tqdm(total=sum(costs.values()), bar_format="{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}")
    with bar, ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(_run_one, name, outdir, options): name for name in scripts}
        for future in as_completed(running):
            name, (code, text) = running[future], future.result()
            bar.write(f"== {name}\n{text.strip()}\n")
            bar.update(costs.pop(name))
            bar.set_description(f"{len(scripts) - len(costs)} of {len(scripts)} scripts")
            failed += [name] if code else []
    return failed


def _is_there(outdir: Path, name: str) -> bool:
    return all((outdir / f"{name}.{kind}").exists() for kind in ("json", "png"))


def _seconds(name: str) -> float:
    """What a script is known to take, so that the bar moves evenly."""
    record = RESULTS / f"{name}.json"
    return float(json.loads(record.read_text())["processor_seconds"]) if record.exists() else _SECONDS


def _run_one(name: str, outdir: Path, options: Sequence[str]) -> tuple[int, str]:
    command = [sys.executable, "-m", f"benchmarks.paper.{name}", "--outdir", str(outdir), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


if __name__ == "__main__":
    main()
