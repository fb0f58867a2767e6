"""The evaluations by name; importing this imports no torch."""

from typing import Any

from df_heads.benchmarks.harness.base.registry import Registry
from df_heads.benchmarks.harness.evaluate.evaluation import Evaluation
from df_heads.benchmarks.harness.evaluate.fusion import Fusion
from df_heads.benchmarks.harness.evaluate.probes import Probes
from df_heads.benchmarks.harness.evaluate.robustness import Robustness
from df_heads.benchmarks.harness.evaluate.standard import Standard


def _from_outside(name: str, found: Any) -> Evaluation:
    if isinstance(found, type):
        found = found()
    if not isinstance(found, Evaluation):
        raise TypeError(
            f"it must be an {Evaluation.__module__}.Evaluation, not a {type(found).__name__}"
        )
    return found


#: Name -> evaluation, in its usual form.
EVALUATIONS: Registry[Evaluation] = Registry(
    "evaluation", _from_outside, group="df_heads.evaluations"
)
for _evaluation in (Standard(), Probes(), Robustness(), Fusion()):
    EVALUATIONS.add(_evaluation.name, _evaluation)
