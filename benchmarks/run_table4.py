"""Table 4 of the paper: temperatures of the loss from 1 to 0.02, for each head.

    python benchmarks/run_table4.py --smoke                 # a minute, no download
    python benchmarks/run_table4.py --seeds 0 1 2           # the paper's grid on CIFAR-100

Running it again does only what is missing.
"""

import sys

from df_heads.benchmarks.harness.base.paper import TABLE4
from df_heads.benchmarks.harness.plan.ablation import Ablation
from df_heads.benchmarks.harness.plan.flags import run_script

ABLATION = Ablation(
    name="table4",
    description=__doc__,
    varied="temperature",
    flag="--temperatures",
    values=(1.0, 0.8, 0.5, 0.2, 0.1, 0.05, 0.02),
    smoke_values=(0.5, 0.2, 0.1),
    parse_value=float,
    paper=TABLE4,
)
BENCHMARK = ABLATION.benchmark("Table 4, temperature")

if __name__ == "__main__":
    sys.exit(run_script(BENCHMARK.main))
