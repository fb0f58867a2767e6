import dataclasses

from made_results import made_result

from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.statistics import Summary
from df_heads.benchmarks.harness.store.schema import RunResult
from df_heads.benchmarks.harness.tables.accuracy import accuracies_and_gains
from df_heads.benchmarks.harness.tables.blocks import Details, Paragraph, Table
from df_heads.benchmarks.harness.tables.comparisons import (
    LEGEND,
    Comparison,
    comparisons_in,
    gain_table,
    gains_with_legend,
)
from df_heads.benchmarks.harness.tables.runs import Configuration
from df_heads.benchmarks.harness.tables.text import to_terminal

SETTING = (("data", "digits"), ("backbone", "cnn4"), ("batch size", "32"), ("size", ""))
SURE = Comparison("transformer", "feedforward", SETTING, "unsup.", Summary(2.0, 0.5, 3))
ALONE = Comparison("transformer", "feedforward", SETTING, "sup.", Summary(-1.0, None, 1))

ACCURACY = {"transformer-small": 50.0, "feedforward-small": 40.0, "lightly-small": 30.0}


def test_a_comparison_tells_what_it_compares_and_what_it_shows() -> None:
    assert SURE.title == "Transformer over feed-forward head: digits, batch size 32"
    assert (SURE.verdict, ALONE.verdict) == ("better", "one seed")


def test_accuracies_of_a_pair_share_a_row() -> None:
    other = dataclasses.replace(SURE, over="attention off")
    table = gain_table([SURE, ALONE, other])
    assert table.headings == [
        "data", "backbone", "batch size", "size", "what", "over",
        "unsup. gain", "95 % interval", "verdict", "sup. gain", "95 % interval", "verdict", "seeds",
    ]  # fmt: skip
    first, second = ([str(cell) for cell in row] for row in table.rows)
    assert first[4:] == [
        "transformer", "feedforward", "+2.00", "+0.76 to +3.24", "better", "-1.00", "", "one seed",
        "3",
    ]  # fmt: skip
    assert second[5:] == ["attention off", "+2.00", "+0.76 to +3.24", "better", "", "", "", "3"]


def test_nothing_is_lost_in_a_fold() -> None:
    assert comparisons_in([Details("more", gains_with_legend([SURE, ALONE]))]) == [SURE, ALONE]


def test_a_document_keeps_its_comparisons_as_data() -> None:
    blocks = [Paragraph("x"), *gains_with_legend([SURE]), Table(["gain"], [["+1.00"]])]
    assert comparisons_in([*blocks, *gains_with_legend([ALONE, SURE])]) == [SURE, ALONE]
    assert gains_with_legend([]) == []
    assert LEGEND in to_terminal(blocks)


def load(experiment: Experiment) -> RunResult | None:
    if experiment.head == "lightly-small" and experiment.seed:
        return None
    metrics = {"unsupervised": ACCURACY[experiment.head] + experiment.seed, "supervised": 60.0}
    return made_result(experiment, metrics=metrics)


def configuration(head: str, *seeds: int) -> Configuration:
    experiments = {seed: Experiment("digits", head, seed=seed) for seed in seeds}
    return Configuration(("digits",), head, experiments)


def test_heads_are_compared_over_the_seeds_that_both_have() -> None:
    blocks = accuracies_and_gains(
        ["data"],
        [
            configuration("feedforward-small", 0, 1),
            configuration("transformer-small", 0, 1, 2),
            configuration("lightly-small", 1),
        ],
        load,
    )
    found = comparisons_in(blocks)
    assert {one.what for one in found} == {"transformer"}
    assert [(one.accuracy, one.gain) for one in found] == [
        ("unsup.", Summary(10.0, 0.0, 2)),
        ("sup.", Summary(0.0, 0.0, 2)),
    ]
    accuracies = to_terminal(blocks[:1]).splitlines()
    assert "| lightly     | small |        |      not run |" in accuracies[4]
