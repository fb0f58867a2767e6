"""The protocol of the suite "mechanism", stated before its runs: see docs/mechanism.md."""

from df_heads.benchmarks.harness.base.names import BASELINE, CONTROL, UNIFORM
from df_heads.benchmarks.harness.plan.protocols import Hypothesis, Protocol

RESIDUAL, SOFTMAX, ORACLE = "feedforward-residual", "transformer", "transformer-oracle"
CENTRED, NORMALISED = "transformer-self-centred", "transformer-self-batchnorm"

MECHANISM = Protocol(
    hypotheses=[
        Hypothesis("do residuals and LayerNorm help?", RESIDUAL, BASELINE),
        Hypothesis("do the layers of attention help when they mix nothing?", CONTROL, RESIDUAL),
        Hypothesis("does mixing help?", SOFTMAX, CONTROL),
        Hypothesis("does mixing help that finds nobody?", UNIFORM, CONTROL),
        Hypothesis("does whom a sample finds matter?", SOFTMAX, UNIFORM),
        Hypothesis("does centring alone help?", CENTRED, CONTROL),
        Hypothesis("does BatchNorm alone help?", NORMALISED, CONTROL),
        Hypothesis("is the mean more than centring?", UNIFORM, CENTRED),
        Hypothesis("is attention more than centring?", SOFTMAX, CENTRED),
        Hypothesis(
            "must a sample learn to be of use to others?", UNIFORM, "transformer-uniform-detached"
        ),
        Hypothesis("must it learn whom to find?", SOFTMAX, "transformer-stopped"),
        Hypothesis("must the keys be their values' own?", SOFTMAX, "transformer-random-keys"),
        Hypothesis("must it be the batch itself?", SOFTMAX, "transformer-previous"),
        Hypothesis("does half the batch do as well?", SOFTMAX, "transformer-half"),
        Hypothesis("does a sparse choice help?", "transformer-top8", SOFTMAX),
        Hypothesis("would finding the class help?", ORACLE, CONTROL),
        Hypothesis("is the class better than the mean?", ORACLE, UNIFORM),
    ],
    seeds=range(20),
)
