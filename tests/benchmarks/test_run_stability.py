import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from df_heads.benchmarks import run_stability
from df_heads.benchmarks.harness.base.statistics import wilson_interval
from df_heads.benchmarks.harness.data.images import load_images
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.stability.methods import build_head
from df_heads.benchmarks.harness.stability.plot import shown
from df_heads.benchmarks.harness.stability.recipe import (
    BACKBONES,
    CANDIDATES,
    HEADS,
    METHODS,
    Recipe,
    grid,
)
from df_heads.benchmarks.harness.stability.store import TrialFolder
from df_heads.benchmarks.harness.stability.table import blocks_of
from df_heads.benchmarks.harness.stability.trial import GIVEN_UP, SIZE, run_trial
from df_heads.benchmarks.harness.tables.text import to_markdown
from df_heads.heads import TransformerProjectionHead

QUICK = Recipe("simclr", "test_resnet", "sgd", 0.1, batch_size=16, steps=3)


@pytest.fixture(scope="module")
def digits() -> Any:
    return load_images("digits", image_size=SIZE)


@pytest.mark.parametrize(
    ("method", "backbone", "optimizer"),
    [
        *((method, backbone, "sgd") for method in METHODS for backbone in BACKBONES),
        *(("simclr", "test_resnet", optimizer) for optimizer in ("adamw", "lars")),
    ],
)
def test_every_recipe_trains(method: str, backbone: str, optimizer: str, digits: Any) -> None:
    recipe = Recipe(method, backbone, optimizer, 1e-3, 0.1, 1.0, batch_size=16, steps=2)
    trial = run_trial(recipe, "stable", digits)
    assert trial["steps_run"] == 2
    assert trial["cause"] is None
    assert trial["alarm"] is None
    assert 0 < trial["knn"] < 100


def test_no_two_optimizers_are_the_same(digits: Any) -> None:
    # lightly's LARS is SGD for parameters without weight decay.
    trials = {
        optimizer: run_trial(dataclasses.replace(QUICK, optimizer=optimizer), "stable", digits)
        for optimizer in ("sgd", "adamw", "lars")
    }
    assert len({trial["last_loss"] for trial in trials.values()}) == 3


@pytest.mark.parametrize("head", [*HEADS, *CANDIDATES])
def test_every_head_of_every_method_has_the_outputs_of_lightly_s(head: str) -> None:
    for method in METHODS:
        own, ours = build_head("lightly", method, 24), build_head(head, method, 24)
        widths = [
            [m.out_features for m in module.modules() if hasattr(m, "out_features")][-1]
            for module in (own, ours)
        ]
        same = isinstance(ours, TransformerProjectionHead) and ours.output_dim == widths[0]
        assert same or widths[0] == widths[1]


def test_the_same_recipe_gives_the_same_run(digits: Any) -> None:
    first, second = (run_trial(QUICK, "stable", digits) for _ in range(2))
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_a_dead_run_is_given_up_and_counted(digits: Any) -> None:
    recipe = dataclasses.replace(QUICK, learning_rate=30.0, steps=150)
    trial = run_trial(recipe, "paper", digits)
    assert trial["collapsed"]
    assert trial["knn"] is None
    assert trial["alarm"] - trial["since"] <= 20
    assert trial["steps_run"] <= trial["since"] + GIVEN_UP + 4


def test_smoke_run_then_nothing_left_to_do(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    flags = ["--smoke", "--steps", "30", "--out-dir", str(tmp_path), "--no-progress"]
    few = [r for r in run_stability.recipes(run_stability.parse(flags)) if r.learning_rate == 0.1]
    monkeypatch.setattr(run_stability, "recipes", lambda _: few)
    assert len(few) == 2
    assert run_script(run_stability.main, [*flags, "--heads", "stable"]) == 0
    before = {file.name: file.read_bytes() for file in tmp_path.glob("*.json")}
    assert {json.loads(content)["trials"][0]["head"] for content in before.values()} == {
        "lightly",
        "stable",
    }
    monkeypatch.setattr("df_heads.benchmarks.harness.stability.trial.run_trial", pytest.fail)
    assert run_script(run_stability.main, [*flags, "--heads", "stable"]) == 0
    assert {file.name: file.read_bytes() for file in tmp_path.glob("*.json")} == before
    assert {"stability.md", "stability.png", "stability.svg"} <= {
        f.name for f in tmp_path.iterdir()
    }
    assert "| stable " in capsys.readouterr().out


def trial(head: str, recipe: Recipe, **found: Any) -> dict[str, Any]:
    alive = {
        "collapsed": False,
        "cause": None,
        "since": None,
        "alarm": None,
        "steps_run": recipe.steps,
        **dict.fromkeys(("first_loss", "last_loss", "spread", "mean_cosine", "rank"), 1.0),
        "knn": 80.0,
        "seconds": 1.0,
    }
    return {**recipe.key(head), **alive, **found}


DEAD = {"collapsed": True, "cause": "parallel", "since": 5, "alarm": 9, "knn": None}


def test_the_table_counts_where_lightly_s_own_head_lives(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    rates = (0.1, 0.03, 0.3, 1.0)
    recipes = [dataclasses.replace(QUICK, learning_rate=rate) for rate in rates]
    for number, recipe in enumerate(recipes):
        folder.add(trial("lightly", recipe, **(DEAD if number == 3 else {})))
        folder.add(trial("stable", recipe, **(DEAD if number == 3 else {"knn": 83.0})))
        folder.add(trial("paper", recipe, **({**DEAD, "alarm": 30} if number else {})))
    text = to_markdown(blocks_of(TrialFolder(tmp_path).trials))
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line}
    assert "0 of 3 (0 to 56 %)" in lines["stable"]
    assert "2 of 3 (21 to 94 %)" in lines["paper"]
    assert "1 of 4 (5 to 70 %) of all recipes tried" in text
    assert "| 83.0 | +3.0 |" in lines["stable"]
    assert "within 20 steps on 2 of 5 collapsed runs, and on 0 of 7 runs that lived" in text
    assert TrialFolder(tmp_path).find(recipes[0], "stable") == folder.find(recipes[0], "stable")
    assert folder.find(recipes[0], "feedforward") is None


def test_a_setting_counts_where_lightly_s_own_head_lives_with_every_seed(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    for seed in range(3):
        recipe = dataclasses.replace(QUICK, seed=seed)
        folder.add(trial("lightly", recipe, **(DEAD if seed == 2 else {})))
        folder.add(trial("stable", recipe, **(DEAD if seed == 0 else {})))
        other = dataclasses.replace(recipe, learning_rate=0.03)
        folder.add(trial("lightly", other))
        folder.add(trial("stable", other, **(DEAD if seed == 1 else {})))
    drawn = shown(folder.trials)
    assert sum(t["head"] == "lightly" for t in drawn) == 6
    assert [t["learning_rate"] for t in drawn if t["head"] == "stable"] == [0.03] * 3
    text = to_markdown(blocks_of(folder.trials))
    assert "in the 1 recipes in which lightly's own head lives" in text
    assert "| stable  | 1 of 3 " in text


def test_a_head_runs_only_where_lightly_s_own_lives_with_every_seed(
    tmp_path: Path, monkeypatch: Any
) -> None:
    run: list[tuple[str, float, int]] = []

    def tried(recipe: Recipe, head: str, data: Any) -> dict[str, Any]:
        run.append((head, recipe.learning_rate, recipe.seed))
        dead = recipe.learning_rate == 0.1 and recipe.seed == 1
        return trial(head, recipe, **(DEAD if dead else {}))

    monkeypatch.setattr("df_heads.benchmarks.harness.stability.trial.run_trial", tried)
    flags = ["--smoke", "--methods", "simclr", "--seeds", "0", "1", "--heads", "stable"]
    args = run_stability.parse([*flags, "--out-dir", str(tmp_path), "--no-progress"])
    run_stability.run(args, TrialFolder(tmp_path))
    assert run[:4] == [("lightly", 0.03, 0), ("lightly", 0.03, 1)] + [
        ("stable", 0.03, seed) for seed in (0, 1)
    ]
    assert [found for found in run if found[1] == 0.1] == [("lightly", 0.1, 0), ("lightly", 0.1, 1)]


def test_a_file_of_another_version_gets_one_clear_sentence(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "trials-simclr-test_resnet-stable.json"
    file.write_text('{"schema": 0}')
    flags = ["--table-only", "--out-dir", str(tmp_path)]
    assert run_script(run_stability.main, flags) == 2
    assert "is of another version; move it away" in capsys.readouterr().err


def test_the_whole_grid() -> None:
    recipes = list(grid())
    assert len(recipes) == len(set(recipes)) == 5 * 9 * 4 * 2 * 2
    assert all((r.warmup, r.clip, r.batch_size) == (0, None, 64) for r in recipes[:90])


def test_wilson_interval() -> None:
    # Newcombe (1998), Table I: 81 of 263 and 0 of 20.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)
    with pytest.raises(ValueError, match="0 of 0 is no share"):
        wilson_interval(0, 0)
