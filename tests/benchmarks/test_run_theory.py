import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from df_heads.benchmarks import run_theory
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.blocks import Paragraph
from df_heads.benchmarks.harness.tables.text import to_markdown, to_terminal
from df_heads.benchmarks.harness.theory.blocks import block_maps
from df_heads.benchmarks.harness.theory.conclusions import conclusions, growth
from df_heads.benchmarks.harness.theory.measured import Measured
from df_heads.benchmarks.harness.theory.measuring import measure
from df_heads.benchmarks.harness.theory.setting import Setting
from df_heads.benchmarks.harness.theory.subspaces import add_noise, draw_union

SMALL = Setting(clusters=3, rank=2, samples=12, width=12)


def theory(out_dir: Path, *flags: str) -> int:
    arguments = ["--out-dir", str(out_dir), "--no-progress", *flags]
    return run_script(run_theory.main, arguments)


def measured(setting: Setting = SMALL, seed: int = 0) -> Measured:
    return measure(setting, seed, blocks=3, restarts=8, iterations=40)


@pytest.mark.parametrize("angle", [20.0, 60.0, 90.0])
def test_subspaces_have_the_angle_and_rank_they_say(angle: float) -> None:
    drawn = draw_union(replace(SMALL, angle=angle), torch.Generator().manual_seed(0))
    for basis in drawn.bases:
        torch.testing.assert_close(basis.mT @ basis, torch.eye(2).double())
    between = torch.linalg.svdvals(drawn.bases[0].mT @ drawn.bases[1])
    torch.testing.assert_close(torch.rad2deg(between.acos()), torch.full_like(between, angle))
    for label, basis in enumerate(drawn.bases):
        inside = drawn.samples[drawn.labels == label]
        assert len(inside) == 4
        torch.testing.assert_close(inside @ basis @ basis.mT, inside)
        assert torch.linalg.matrix_rank(inside) == 2


def test_noise_is_as_much_as_it_says() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = draw_union(SMALL, generator).samples
    noisy = add_noise(clean, 0.1, torch.randn(clean.shape, generator=generator).double())
    torch.testing.assert_close(noisy.norm(dim=1), torch.ones(12).double())
    torch.testing.assert_close((noisy * clean).sum(1), torch.full((12,), 0.9).double())


def test_blocks_are_those_of_the_proof() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(7, 5, generator=generator).double(), dim=1)
    weights = torch.randn(5, 7, generator=generator).double()
    a, attention = block_maps(x, weights, 2)
    first = (x @ weights) @ (x @ weights).T
    torch.testing.assert_close(a[0], first)
    torch.testing.assert_close(attention[0], first.softmax(1))
    second = torch.nn.functional.normalize(first.softmax(1) @ x, dim=1) @ weights
    torch.testing.assert_close(a[1], second @ second.T)
    residual, _ = block_maps(x, weights, 2, residual=True)
    added = torch.nn.functional.normalize(x + first.softmax(1) @ x, dim=1) @ weights
    torch.testing.assert_close(residual[1], added @ added.T)


def test_theorem_1_on_clean_samples() -> None:
    found = measured(replace(SMALL, eps=0.0))
    assert found.clean_across < 1e-10
    assert found.clean_one_side >= 1 - 1e-6
    assert found.clean_both_sides < 0
    assert found.delta == 0
    assert found.scores[0] == float("inf")
    assert found.across_holds


def test_more_noise_than_the_bounds_allow_is_told() -> None:
    found = measured(replace(SMALL, eps=0.5))
    assert not found.separable
    assert found.sharpness_bound is None
    assert found.factor_derived is None


def test_measures_survive_a_file() -> None:
    found = measured(replace(SMALL, eps=0.0))
    again = Measured.from_json(json.loads(json.dumps(found.to_json())))
    assert again.setting == found.setting
    assert again.scores[0] == float("inf")
    assert again.rho == pytest.approx(found.rho, rel=1e-5)


def test_conclusions_follow_the_numbers() -> None:
    found = measured()
    text = to_terminal([conclusions([], {SMALL: [found]})])
    assert "were at least nu rho^2 in 1 of 1 draws for the rho of w" in text
    wrong = replace(found, clean_one_side=0.5, clean_across=0.1, across_holds=False)
    text = to_terminal([conclusions([], {SMALL: [found, wrong]})])
    assert "was 1.0e-01 (not below 1e-10)" in text
    assert "were at least nu rho^2 in 1 of 2 draws for the rho of w" in text
    assert "bound on A across clusters held in 1 of 2" in text


def test_growth_needs_a_positive_finite_start() -> None:
    found = measured()
    assert growth(replace(found, scores=[2.0, 3.0])) == 1.5
    assert growth(replace(found, scores=[0.0, 3.0])) is None
    assert growth(replace(found, scores=[float("inf"), 3.0])) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"clusters": 1}, "clusters=1 of rank=2"),
        ({"rank": 4}, r"\(K \+ 1\) r = 16 of width=12"),
        ({"samples": 5}, "samples=5 must be at least 6"),
        ({"angle": 0.0}, "angle=0.0 must be above 0"),
        ({"eps": 1.5}, "eps=1.5"),
    ],
)
def test_settings_that_cannot_be_drawn(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SMALL, **fields)


@pytest.mark.slow
def test_one_command_makes_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert theory(tmp_path, "--smoke", "--seeds", "0", "--blocks", "3") == 0
    text = (tmp_path / "theory.md").read_text()
    printed = capsys.readouterr().out
    said = [line for line in text.splitlines() if not line.startswith("<")]  # what folds it
    assert said
    assert all(line in printed for line in said)
    assert "| noise " in text
    assert (tmp_path / "theory.png").read_bytes()[1:4] == b"PNG"
    args = run_theory.parse(["--smoke", "--seeds", "0", "--blocks", "3"])
    assert to_markdown(run_theory.table(args, ResultFolder(tmp_path))) + "\n" == text
    with pytest.raises(InputError, match=r"was made with blocks=3, not 10: give its flags"):
        run_theory.table(run_theory.parse(["--smoke", "--seeds", "0"]), ResultFolder(tmp_path))
    file = tmp_path / "theory.json"
    content = json.loads(file.read_text())
    assert content["config"]["seeds"] == [0]

    content["runs"][0]["clean_across"] = 0.5
    file.write_text(json.dumps(content))
    assert theory(tmp_path, "--table-only") == 0
    assert "was 5.0e-01 (not below 1e-10)" in (tmp_path / "theory.md").read_text()

    del content["runs"][0]
    file.write_text(json.dumps(content))
    assert theory(tmp_path, "--table-only") == 2
    assert "does not fit this version of the script" in capsys.readouterr().err


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_theory.table(run_theory.parse([]), ResultFolder(tmp_path)) == [Paragraph("not run")]
    assert theory(tmp_path, "--table-only") == 2
    assert "theory.json is not there; run without --table-only" in capsys.readouterr().err
    for flags in (["--seeds", "0", "0"], ["--blocks", "1"]):
        with pytest.raises(SystemExit):
            theory(tmp_path, *flags)
