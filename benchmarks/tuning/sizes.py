"""How many samples tuning needs, to choose and to learn: the exact digits mixture in 8 network calls.

    OMP_NUM_THREADS=1 python -m benchmarks.tuning.sizes

``pilots``: the plan chosen on so many pilot samples, of three disjoint sets of seeds. ``pairs``: the plan learnt from
so many pairs after all iterations (``last``), and the one that 64 samples set apart would stop at (``kept``). Errors
are geometric means over the samples, and all plans meet the same 1024 held-out samples; ratios are those to the errors
of the published sampler that is best on these. A run goes on where the last one ended.
"""

import json
import math
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import attrs
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from tqdm import tqdm

import deis
from benchmarks.training import write_json
from benchmarks.tuning.measure import RESULTS, STORE, ensemble, published, rounded
from deis.files import whole_file
from deis.tuning.choose import choose
from deis.tuning.interval import ratio, typical
from deis.tuning.learn import learn
from deis.tuning.pairs import Pairs, errors, make_pairs
from deis.tuning.progress import Progress
from deis.tuning.trainable import Trainable
from deis.tuning.training import Training

PATH: Final = RESULTS / "sizes.json"
MODEL: Final = "digits-exact"
NFE: Final = 8
PILOTS: Final = (8, 16, 32, 64, 128, 256)
SETS: Final = 3
PAIRS: Final = (8, 16, 32, 64, 128, 256, 512)
APART: Final = 64
HELD_OUT: Final = 1024
_SOLUTIONS: Final = 240
_SCREEN: Final = 128
_SEEDS: Final = {"pilot": 5 * 10**12, "apart": 6 * 10**12, "pairs": 7 * 10**12, "held out": 8 * 10**12}
_FURTHER: Final = 10**6  # from the first seed of one set to that of the next


def solved(purpose: str, count: int, number: int = 0) -> Pairs:
    """Samples with their solutions, whose seeds no other purpose and no other set has."""
    first = _SEEDS[purpose] + number * _FURTHER
    return make_pairs(ensemble(MODEL), range(first, first + count), _SOLUTIONS, STORE)


@attrs.define(slots=False)
class Bench:
    """What all cells share; made where a cell needs it."""

    @cached_property
    def judges(self) -> Pairs:
        """The held-out samples."""
        return solved("held out", HELD_OUT)

    @cached_property
    def rival(self) -> deis.Plan:
        """The best published sampler on the held-out samples."""
        leading = [plan for _, plan in published(self.judges, NFE, _SCREEN)]
        return min(leading, key=lambda plan: typical(errors(plan, self.judges)).value)

    @cached_property
    def apart(self) -> Pairs:
        """The samples that say where learning would stop."""
        return solved("apart", APART)

    @cached_property
    def start(self) -> Trainable:
        """The plan that is best on them, to learn from."""
        best = choose(self.apart, NFE)[0][0]
        return Trainable(best.candidate.integrator, self.judges.ensemble.ode, deis.TimeGrid(best.plan.times))

    def against(self, plan: deis.Plan, own: Pairs) -> dict[str, Any]:
        """Errors on the plan's own samples and on those held out, with their ratios to the rival's."""
        found = {}
        for name, pairs in {"own": own, "held_out": self.judges}.items():
            mine = errors(plan, pairs)
            found[name] = {"error": rounded(typical(mine)), "ratio": rounded(ratio(mine, errors(self.rival, pairs)))}
        return found

    def chosen(self, count: int, number: int) -> dict[str, Any]:
        """The plan that is best on some pilot samples."""
        pilot = solved("pilot", max(PILOTS), number)[:count]
        return self.against(choose(pilot, NFE)[0][0].plan, pilot)

    def learnt(self, count: int) -> dict[str, Any]:
        """The plans learnt from some pairs, and the one learning began with."""
        pairs, training = solved("pairs", max(PAIRS))[:count], Training(patience=10**6)
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "learning"
            kept = learn(self.start, pairs, self.apart, training, state).plan
            ended = Progress.resumed(state, self.start, pairs, self.apart, training)
        assert ended is not None
        last = ended.units @ ended.parameters.detach()
        plans = {"start": 0 * last, "last": last}
        found = {name: self.against(self.start(parameters).numbers(), pairs) for name, parameters in plans.items()}
        return {**found, "kept": self.against(kept, pairs)}


def cells() -> Iterator[tuple[str, str, int, int]]:
    """Part, name, samples and number of the set of each cell."""
    yield from (("pilots", f"{count}, set {number}", count, number) for count in PILOTS for number in range(SETS))
    yield from (("pairs", str(count), count, 0) for count in PAIRS)


def mean(rows: list[float]) -> float:
    """Geometric mean."""
    return math.exp(sum(map(math.log, rows)) / len(rows))


def plot(content: dict[str, Any]) -> None:
    """Ratios to the best published sampler against the number of samples."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.6), sharey=True)
    for where, label, color in (("own", "on the pilot samples", "C1"), ("held_out", "on held-out samples", "C0")):
        sets = [[content["pilots"][f"{n}, set {k}"][where]["ratio"][0] for k in range(SETS)] for n in PILOTS]
        left.plot(PILOTS, [mean(rows) for rows in sets], "o-", color=color, label=label)
        left.plot(PILOTS, sets, ".", color=color, alpha=0.6, markersize=5)
    for plan, where, label, style, size in (
        ("last", "own", "on the pairs", "o-C1", 6),
        ("last", "held_out", "on held-out samples", "o-C0", 6),
        ("kept", "held_out", "held out, stopped early", "sk", 11),
        ("start", "held_out", "held out, before learning", "--k", 0),
    ):
        ratios = [content["pairs"][str(n)][plan][where]["ratio"][0] for n in PAIRS]
        fill = "none" if plan == "kept" else None
        right.plot(PAIRS, ratios, style, markersize=size, markerfacecolor=fill, label=label)
    _dress(left, "chosen", "pilot samples", PILOTS)
    _dress(right, "learnt", "pairs learnt from", PAIRS)
    left.set_ylabel("error / best published sampler")
    figure.tight_layout()
    with whole_file(PATH.with_suffix(".png")) as file:
        figure.savefig(file, format="png", dpi=150)


def _dress(ax: Axes, title: str, what: str, counts: tuple[int, ...]) -> None:
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(counts, [str(count) for count in counts])
    shares = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
    ax.set_yticks(shares, [f"{share:g}" for share in shares])
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.set(title=title, xlabel=what)
    ax.legend(fontsize="small")


def main() -> None:
    """Measure what is missing, save it, and draw."""
    torch.set_num_threads(1)
    bench = Bench()
    content: dict[str, Any] = {"model": MODEL, "nfe": NFE, "held_out": HELD_OUT, "pilots": {}, "pairs": {}}
    if PATH.exists():
        content = json.loads(PATH.read_text())
    for part, name, count, number in tqdm(list(cells()), unit="cell"):
        if name not in content[part]:
            content[part][name] = bench.chosen(count, number) if part == "pilots" else bench.learnt(count)
            write_json(PATH, content)
    plot(content)


if __name__ == "__main__":
    main()
