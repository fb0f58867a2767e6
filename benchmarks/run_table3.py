"""Table 3 of the paper: batch sizes from 512 to 4096, for each head.

    python benchmarks/run_table3.py --smoke                 # a minute, no download
    python benchmarks/run_table3.py --seeds 0 1 2           # the paper's grid on CIFAR-100

The learning rate stays the same at every batch size, as in the paper, which names no other rule.
Running it again does only what is missing.
"""

import sys

from df_heads.benchmarks.harness.base.paper import TABLE3, TABLE3_HOURS
from df_heads.benchmarks.harness.plan.ablation import Ablation
from df_heads.benchmarks.harness.plan.flags import run_script

ABLATION = Ablation(
    name="table3",
    description=__doc__,
    varied="batch_size",
    flag="--batch-sizes",
    values=(512, 1024, 2048, 4096),
    smoke_values=(32, 64, 128),
    parse_value=int,
    paper=TABLE3,
    paper_hours=TABLE3_HOURS,
)
BENCHMARK = ABLATION.benchmark("Table 3, batch size")

if __name__ == "__main__":
    sys.exit(run_script(BENCHMARK.main))
