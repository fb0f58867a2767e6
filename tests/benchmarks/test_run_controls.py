from pathlib import Path
from typing import Any

import pytest
from made_results import save_made

from df_heads.benchmarks import run_controls, run_table2
from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.plan.control_suites import SUITES
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.plan.status import status
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.text import to_terminal
from df_heads.benchmarks.harness.train.methods import METHODS
from df_heads.benchmarks.harness.train.models import build_model

QUICK = [
    *("--datasets", "digits", "--backbone", "test_resnet", "--image-size", "16"),
    *("--train-images", "320", "--epochs", "1", "--batch-size", "64", "--learning-rate", "0.05"),
    *("--accelerator", "cpu", "--logger", "none", "--no-progress"),
]


def trained(*flags: str) -> list[Experiment]:
    experiments = [job.experiment for job in run_controls.jobs(run_controls.parse([*flags]))]
    return [experiment for experiment in experiments if experiment.head != UNTRAINED]


def save(results: ResultFolder, experiment: Experiment, accuracy: float) -> None:
    save_made(
        results,
        experiment,
        [{"epoch": 1, "train_loss": 5.0}],
        metrics={"unsupervised": accuracy, "supervised": accuracy + 10},
        seconds={"train": 120.0, "evaluate": 1.0},
    )


def test_suites_share_their_cells_and_those_of_table_2() -> None:
    every = trained()
    assert len(set(every)) == len(every)
    of_suites = [set(trained("--suites", name)) for name in SUITES]
    assert sum(map(len, of_suites)) > len(every) == len(set.union(*of_suites))
    table2 = run_table2.jobs(run_table2.parse(["--datasets", "cifar100", "--sizes", "small"]))
    assert {job.experiment for job in table2 if job.experiment.head != UNTRAINED} <= of_suites[0]


@pytest.mark.parametrize(
    ("suite", "field", "values"),
    [
        ("norm", "norm_first", {None, True}),
        ("views", "views", {"separate", "joint"}),
        ("depth", "num_layers", {1, 2, None, 10}),
        ("sequence", "sequence_length", {None, 64, 128, 256, 512}),
        ("warmup", "warmup_fraction", {0.0, 0.1}),
        ("method", "method", set(METHODS)),
        ("method", "temperature", {0.2, 0.1}),
        ("stem", "stem", {"imagenet", "small"}),
        ("step", "compiled", {False, True}),
        ("step", "augment", {"ours", "lightly"}),
        ("views", "mask_partner", {False, True}),
        ("streams", "streams", {1, 2}),
        (
            "baselines",
            "head",
            {"lightly-small", "feedforward-small", "transformer-small", "transformer-self-small"},
        ),
        ("imbalance", "imbalance", {1.0, 10.0, 100.0}),
        ("classes", "classes", {None, 2, 5}),
        ("length", "epochs", {1000, 2000, 4000}),
    ],
)
def test_a_suite_varies_what_it_says(suite: str, field: str, values: set[Any]) -> None:
    assert {getattr(experiment, field) for experiment in trained("--suites", suite)} == values


@pytest.mark.parametrize("suite", SUITES)
def test_every_cell_can_be_built(suite: str) -> None:
    backbone = "resnet18" if suite == "stem" else "test_resnet"
    for experiment in trained("--suites", suite, *QUICK, "--backbone", backbone):
        build_model(experiment)
    if suite != "stem":
        assert trained("--suites", suite, "--smoke")


def test_a_method_has_its_own_temperature_unless_one_is_given() -> None:
    for flags, expected in (((), 0.1), (("--temperature", "0.2"), 0.2)):
        found = {e.method: e.temperature for e in trained("--suites", "method", *flags)}
        assert found["nnclr"] == found["supcon"] == expected
        # Those that have none are at the default, so that equal runs have equal keys.
        assert {value for name, value in found.items() if name not in ("nnclr", "supcon")} == {0.2}
        (alone,) = run_table2.jobs(
            run_table2.parse(
                [
                    "--method",
                    "nnclr",
                    "--datasets",
                    "digits",
                    "--heads",
                    "transformer",
                    "--sizes",
                    "small",
                    *flags,
                ]
            )
        )[1:]
        assert alone.experiment.temperature == expected


def test_what_does_not_change_a_head_is_run_once() -> None:
    masked, streams = trained("--suites", "views"), trained("--suites", "streams")
    assert [e.head for e in masked if e.mask_partner] == ["transformer-small"]
    two = [e.head for e in streams if e.streams == 2]
    assert two == ["transformer-small", "transformer-tied-small"]
    assert set(trained("--suites", "mixing")) >= {e for e in streams if e.streams == 1}


def test_the_oracle_is_for_simclr_only() -> None:
    def heads(*flags: str) -> set[str]:
        return {experiment.head for experiment in trained("--suites", "classes", *flags)}

    assert heads() - heads("--method", "byol") == {"transformer-oracle-small"}


def test_methods_without_masks_and_streams(capsys: pytest.CaptureFixture[str]) -> None:
    assert not any(e.mask_partner for e in trained("--suites", "views", "--method", "byol"))
    with pytest.raises(SystemExit):
        run_controls.parse(["--suites", "streams", "--method", "byol"])
    assert "--method byol has no cell in the suite streams" in capsys.readouterr().err


def test_the_cell_of_equal_step_time_needs_its_width(tmp_path: Path) -> None:
    def table(*flags: str) -> str:
        args = run_controls.parse(["--suites", "baselines", *flags])
        return to_terminal(run_controls.table(args, ResultFolder(tmp_path)))

    assert {e.hidden_dim for e in trained("--suites", "baselines")} == {None}
    assert table().count("left out: it needs --equal-time-dim") == 1
    flags = ("--equal-time-dim", "900")
    wide = [e.head for e in trained("--suites", "baselines", *flags) if e.hidden_dim == 900]
    assert wide == ["feedforward-small"]
    assert "left out" not in table(*flags)
    assert "equal step time, 900 wide" in table(*flags)
    assert {e.hidden_dim for e in trained("--smoke")} == {None, 256}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--equal-time-dim", "0"], "--equal-time-dim 0 must be at least 1"),
        (["--equal-time-dim", "9", "--suites", "norm"], "9 is for the suite baselines"),
        (["--equal-time-dim", "9", "--sizes", "small", "large"], "one size of head on one back"),
        (["--measure-equal-time", "--datasets", "cifar10", "imagenet200"], "one size of head on"),
    ],
)
def test_a_width_without_one_meaning_is_refused(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run_controls.parse(flags)
    assert message in capsys.readouterr().err


def test_new_suites_have_a_status_a_table_and_a_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["views", "streams", "baselines"]
    flags = ["--suites", *names, "--smoke", "--out-dir", str(tmp_path)]
    results, jobs = ResultFolder(tmp_path), run_controls.jobs(run_controls.parse(flags))
    for job in jobs:
        save(results, job.experiment, 50.0 + job.experiment.seed)
    assert f"{len(jobs)}" in to_terminal(status({"controls": jobs}, results))
    assert run_script(run_controls.main, [*flags, "--table-only"]) == 0
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("| digits") and "undecided" in line
    ]
    compared = [(row[1], row[3], row[4]) for row in rows]
    assert len(set(compared)) == len(compared)
    assert {
        ("transformer head", "joint, partner masked", "joint"),
        ("transformer-tied head", "two streams", "one stream"),
        ("lightly's own", "transformer", "lightly"),
        ("equal step time, 256 wide", "transformer", "feedforward"),
    } <= set(compared)
    # Both are one cell in all three settings of that suite, so the gain is one row.
    budgets = {setting for setting, _, over in compared if over in ("lightly", "feedforward")}
    budgets -= {"separate", "joint"}
    assert len(budgets) == 3
    off = [c[0] for c in compared if c[1:] == ("transformer", "attention off")]
    assert [setting for setting in off if setting in budgets] == ["equal parameters"]
    for name in names:
        assert list(tmp_path.glob(f"controls-{name}*.png"))


def test_gains_are_paired_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--suites", "mixing", "--seeds", "0", "1", "2", *QUICK, "--out-dir", str(tmp_path)]
    results = ResultFolder(tmp_path)
    level = {"transformer": 50.0, "transformer-self": 40.0}
    for job in run_controls.jobs(run_controls.parse(flags)):
        experiment = job.experiment
        noise = 0.1 * experiment.seed * (experiment.head == "transformer-small")
        save(results, experiment, level.get(experiment.head.removesuffix("-small"), 30.0) + noise)
    assert run_script(run_controls.main, [*flags, "--table-only"]) == 0
    out = capsys.readouterr().out
    assert SUITES["mixing"].question in out
    (row,) = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in out.splitlines()
        if "| transformer " in line and "attention off" in line
    ]
    assert row[4] == "attention off"
    assert row[5].startswith("+10.10")
    assert row[7] == "better"
    assert list(tmp_path.glob("controls-mixing*.png"))


@pytest.mark.slow
def test_one_command_runs_a_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--suites", "norm", *QUICK, "--out-dir", str(tmp_path)]
    assert run_script(run_controls.main, flags) == 0
    out = capsys.readouterr().out
    assert out.count("one seed") >= 4
    assert "pre-norm" in out
    assert list(tmp_path.glob("controls-norm*.png"))
    assert list(tmp_path.glob("controls-norm*.md"))


def test_the_smoke_leaves_out_what_its_backbone_cannot() -> None:
    assert {experiment.stem for experiment in trained("--smoke")} == {"imagenet"}


def test_the_smoke_is_imbalanced_by_as_much_as_its_images_allow() -> None:
    of_suite = trained("--smoke", "--suites", "imbalance")
    assert {experiment.imbalance for experiment in of_suite} == {1.0, 10.0}


def test_a_flag_that_a_suite_sets_itself_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_controls.parse(["--suites", "mixing", "method", "--method", "simclr", "--views", "x"])
    with pytest.raises(SystemExit):
        run_controls.parse(["--suites", "nothing"])
    assert "there is no suite 'nothing'; choose from mixing" in capsys.readouterr().err
