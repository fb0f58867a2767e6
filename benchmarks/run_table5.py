"""Table 5 of the paper: weight decays from 1e-1 to 1e-4, for each head.

    python benchmarks/run_table5.py --smoke                 # a minute, no download
    python benchmarks/run_table5.py --seeds 0 1 2           # the paper's grid on CIFAR-100

Running it again does only what is missing.
"""

import sys

from df_heads.benchmarks.harness.base.paper import TABLE5
from df_heads.benchmarks.harness.plan.ablation import Ablation
from df_heads.benchmarks.harness.plan.flags import run_script

ABLATION = Ablation(
    name="table5",
    description=__doc__,
    varied="weight_decay",
    flag="--weight-decays",
    values=(1e-1, 1e-2, 1e-3, 1e-4),
    smoke_values=(1e-1, 1e-3),
    parse_value=float,
    paper=TABLE5,
)
BENCHMARK = ABLATION.benchmark("Table 5, weight decay")

if __name__ == "__main__":
    sys.exit(run_script(BENCHMARK.main))
