"""The long version of the reliability tests: kills and refused writes. Prints a table, and keeps it in
outputs/soak/reliability.json.

python tests/soak.py --kills 200 --seed 1
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from reliability.kills import kill_again_and_again
from reliability.refusals import refuse_one_after_the_other

from conftest import REPOSITORY, training_options, write_miniature
from petl_ast.files import write_json
from petl_ast.utils.environment import versions

LONGEST = 0.6  # how long a process lives before it is killed, in times of a whole run
WITH_DROPOUT = "--model.method_options={reduction_rate: 6, kernel_size: 8, dropout: 0.2}"


def main() -> int:
    """Run both; exit code 1 if anything was lost, different or unclear."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--refused_every", type=int, default=1, help="Refuse every n-th write of a run.")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_miniature(folder / "data")
        options = [
            *(
                o
                for o in training_options(folder / "data", folder)
                if not o.startswith(("--output", "--data.c"))
            ),
            WITH_DROPOUT,
        ]
        kills = kill_again_and_again(folder, options, asked.kills, asked.seed, LONGEST)
        print(f"kills: {dataclasses.asdict(kills)}", file=sys.stderr, flush=True)
        one_fold = [*options, "--data.folds=[2]", "--train.checkpoint_steps=1"]
        (folder / "refusals").mkdir()
        numbers = range(1, 10_000, asked.refused_every)
        refusals = refuse_one_after_the_other(folder / "refusals", one_fold, numbers)
    rows = {
        "processes killed": kills.kills,
        "processes that went on where another was killed": kills.gone_on,
        "runs that came to their end after it": kills.runs,
        "files that differ from the undisturbed run's": len(kills.different),
        "files that could not be read after a kill": len(kills.corrupt),
        "processes that failed by themselves": len(kills.failures),
        "writes refused": refusals.refused,
        "of these told with one message, exit code 2": refusals.told,
        "files that differ after going on": len(refusals.different),
        "files that could not be read after a refusal": len(refusals.corrupt),
        "refusals that ended in another way": len(refusals.unclear),
    }
    for what, number in rows.items():
        print(f"| {what} | {number} |")
    write_json(
        REPOSITORY / "outputs" / "soak" / "reliability.json",
        {
            "date": date.today().isoformat(),
            "command": " ".join(sys.argv),
            "seconds": round(time.monotonic() - start),
            "versions": versions(),
            "table": rows,
            "kills": dataclasses.asdict(kills),
            "refusals": dataclasses.asdict(refusals),
        },
    )
    wrong = (kills.different, kills.corrupt, kills.failures)
    wrong += (refusals.different, refusals.corrupt, refusals.unclear)
    print(json.dumps([lines for lines in wrong if lines], indent=1), file=sys.stderr)
    return 1 if any(wrong) or kills.kills < asked.kills else 0


if __name__ == "__main__":
    sys.exit(main())
