import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from made_results import save_made, save_made_evaluation

from df_heads.benchmarks import run_controls, run_report, run_speed, run_table3, run_table6
from df_heads.benchmarks.harness.base.environment import Environment
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.evaluate.probes import Probes, probe_name
from df_heads.benchmarks.harness.plan.benchmark import benchmarks
from df_heads.benchmarks.harness.plan.control_suites import SUITES
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.plots.drawing import new_figure, save_figure
from df_heads.benchmarks.harness.report.sections import parse_command
from df_heads.benchmarks.harness.speed.parts import PARTS, flags_of
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import DataUsed
from df_heads.benchmarks.harness.sweep.jobs import Job

BUDGET = "--datasets digits --backbone test_resnet --image-size 16 --train-images 320 --epochs 2"
MIXING = f"python benchmarks/run_controls.py --suites mixing {BUDGET} --seeds 0 1 2"
RATES = f"{MIXING} --learning-rates feedforward=0.1"
# Mean accuracy of a head, and what each next seed adds to it.
LEVEL = {"transformer": (50.0, 0.1), "transformer-self": (40.0, 0.0), "feedforward": (30.0, 0.0)}
OTHERS = (20.0, 0.2)


def report(root: Path, *flags: str) -> int:
    return run_script(run_report.main, ["--results", str(root), *flags])


def declare(folder: Path, *sections: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "report.json"
    file.write_text(json.dumps({"sections": sections}))
    return file


def save(results: ResultFolder, experiment: Experiment, **changes: Any) -> None:
    level, step = LEVEL.get(experiment.head.removesuffix("-small"), OTHERS)
    accuracy = level + step * experiment.seed
    usual: dict[str, Any] = {
        "data": DataUsed("digits", "a <b>copy</b>", "f00d", 320, 80, 10),
        "metrics": {"unsupervised": accuracy, "supervised": 60.0},
        "seconds": {"train": 120.0, "evaluate": 30.0},
        "environment": environment(),
    }
    save_made(results, experiment, **{**usual, **changes})


def environment(hardware: str = "a machine, 2 cores", torch: str = "2.9.0") -> Environment:
    return Environment({"torch": torch}, "3.11.7", "Linux", "0123456789abcdef+", hardware)


def run_all(folder: Path, jobs: Sequence[Job], *, leave_out: str = "") -> None:
    results = ResultFolder(folder)
    for job in jobs:
        if job.experiment.head.removesuffix("-small") != leave_out:
            save(results, job.experiment)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three seeds of one suite without one head, and a folder of a table that was not run."""
    folder = tmp_path / "results" / "mixing"
    declare(
        folder,
        {"title": "Mixing <here> & *now*", "command": RATES, "note": "A [note](javascript:x)"},
    )
    args = run_controls.parse(RATES.split()[2:])
    run_all(folder, run_controls.jobs(args), leave_out="transformer-tied")
    figure, _ = new_figure(1, 1, width=1, height=1)
    save_figure(figure, folder / "controls-mixing.png")
    command = f"python benchmarks/run_table3.py {BUDGET}"
    declare(tmp_path / "results" / "none", {"title": "Batches", "command": command})
    return tmp_path / "results"


def test_what_is_committed_is_what_the_generator_makes(tmp_path: Path) -> None:
    committed = run_report.CHECKOUT / "RESULTS.md"
    # Beside the committed file, so that the links are the same.
    out = committed.with_name(f"{committed.stem}.{tmp_path.name}.tmp")
    page = tmp_path / "report.html"
    try:
        assert run_script(run_report.main, ["--out", str(out), "--html", str(page)]) == 0
        same = committed.read_text(encoding="utf-8") == out.read_text(encoding="utf-8")
        assert same, f"{committed} is not up to date: run python benchmarks/run_report.py"
    finally:
        out.unlink(missing_ok=True)


def test_a_section_says_everything(tree: Path) -> None:
    assert report(tree) == 0
    text = (tree / "RESULTS.md").read_text()
    part = text.split("\n## ")[2]
    assert part.startswith("Does attending over the batch help?\n")
    section = part.split("\n### ")[1]
    assert section.startswith("Mixing \\<here> & \\*now\\*\n")
    assert "digits (320 training images); 16 px; 2 epochs in batches of 1024" in section
    assert "learning rates feedforward-small 0.1, transformer-small 0.3" in section
    assert "seeds 0, 1, 2" in section
    assert "Not the paper's: 2 epochs, not 1000." in section
    assert SUITES["mixing"].question in section
    assert re.search(r"\| transformer +\| small +\| +2.00M \| +50.10 ± 0.10 \|", section)
    assert re.search(r"\| transformer-tied +\| small +\| +\| +not run \|", section)
    seen = "unsup. %: transformer 50.10, transformer-self 40.00, feedforward 30.00, "
    assert re.search(rf"!\[{re.escape(seen)}.*\]\(mixing/controls-mixing\.png\)\n\nLeft: ", section)
    # 12 runs and 3 untrained backbones of 150 seconds.
    assert "- **Cost.** 37.5 min (15 result files); 3 more not run" in section
    assert "- **Hardware.** a machine, 2 cores" in section
    assert "- **Versions.** Python 3.11.7, torch 2.9.0" in section
    assert "- **Commits.** `0123456789+`" in section
    assert "- **Data.** digits `f00d`, a \\<b>copy\\</b>" in section
    assert f"```bash\n{RATES} --out-dir mixing\n```" in section
    for file in re.findall(r"\]\((mixing/[^)]+)\)", section):
        assert (tree / file).exists()


def test_the_summary_has_every_comparison_with_its_verdict(tree: Path) -> None:
    one = f"python benchmarks/run_table3.py {BUDGET} --batch-sizes 32 --seeds 0"
    declare(tree / "one", {"title": "One seed", "command": one})
    run_all(tree / "one", run_table3.BENCHMARK.jobs(run_table3.BENCHMARK.parse(one.split()[2:])))
    assert report(tree) == 0
    summary = (tree / "RESULTS.md").read_text().split("\n## ")[1]
    judged, single = summary.split("Comparisons with one seed")
    assert "seeds or more: 3 better, 2 worse, 7 undecided." in judged
    assert "2 epochs, test_resnet**: [Mixing \\<here> & \\*now\\*](#mixing-here--now)" in judged
    row = next(line for line in judged.splitlines() if "| Transformer over attention off" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:] == ["unsup.", "+10.10", "+9.85 to +10.35", "better", "3"]
    assert single.count("| one seed |") == 6
    assert "| Transformer over feed-forward head " in single
    assert not re.search("better|worse|undecided", single)


def lead(root: Path) -> str:
    """What stands before the contents."""
    assert report(root) == 0
    return (root / "RESULTS.md").read_text().partition("\n- [")[0]


def test_the_page_begins_with_what_comes_of_it(tree: Path) -> None:
    said = lead(tree)
    assert (
        "**Attending over the batch helped in places**: +10.10 points unsup. (+9.85 to +10.35) and "
        "+0.00 points sup. (+0.00 to +0.00) over the same head with its attention off."
    ) in said
    assert "**Choosing whom to attend to helped in places**: +29.90 points unsup. (+29" in said
    assert "3 paired seeds. Not the paper's: 2 epochs, not 1000." in said


def test_the_budget_with_the_most_seeds_speaks_first(tree: Path) -> None:
    fewer = RATES.replace("--seeds 0 1 2", "--seeds 0 1")
    assert fewer != RATES
    declare(tree / "again", {"title": "Again", "command": fewer})
    run_all(tree / "again", run_controls.jobs(run_controls.parse(fewer.split()[2:])))
    said = lead(tree)
    assert said.index("3 paired seeds") < said.index("2 paired seeds")


def test_what_comes_of_it_follows_the_results(tree: Path) -> None:
    results = ResultFolder(tree / "mixing")
    for job in run_controls.jobs(run_controls.parse(RATES.split()[2:])):
        head, seed = job.experiment.head.removesuffix("-small"), job.experiment.seed
        level = {"transformer": 30.0, "transformer-self": 40.0 + 0.1 * seed}.get(head)
        if level is not None:
            metrics = {"unsupervised": level, "supervised": level - seed}
            save(results, job.experiment, metrics=metrics)
    hurt = "**Attending over the batch hurt**: -10.10 points unsup. (-10.35 to -9.85) and -10.10"
    assert hurt in lead(tree)
    (tree / "mixing" / "report.json").unlink()
    assert "so there is no verdict" in lead(tree)


def test_what_was_not_run_is_told(tree: Path) -> None:
    stray = Experiment("digits", "feedforward-small", epochs=7)
    save(ResultFolder(tree / "none"), stray)
    assert report(tree) == 0
    text = (tree / "RESULTS.md").read_text().split("\n## Not run")[1]
    mixing = next(line for line in text.splitlines() if line.startswith("- **Controls, mixing."))
    assert "Not run: 0 of 15 result files at the full budget" in mixing
    assert "At other budgets: [Mixing" in mixing
    assert mixing.endswith("`python benchmarks/run_controls.py --suites mixing --seeds 0 1 2`")
    table = next(line for line in text.splitlines() if line.startswith("- **Table 3"))
    assert "At other budgets: nothing." in table
    assert "(#mixing-here--now), 3 of 18: `digits-test_resnet-transformer-tied" in text
    assert "[Batches](#batches), 13 of 13: " in text
    assert f"Results that are in no section:\n\n- `none/{stray.name}.json`" in text


def test_what_was_run_at_the_full_budget_is_not_listed_as_missing(tree: Path) -> None:
    command = "python benchmarks/run_controls.py --suites warmup --seeds 0 1 2"
    declare(tree / "full", {"title": "Warmup", "command": command})
    jobs = run_controls.jobs(run_controls.parse(command.split()[2:]))
    run_all(tree / "full", jobs)
    assert report(tree) == 0
    text = (tree / "RESULTS.md").read_text().split("\n## Not run")[1]
    assert "Run at the full budget: Controls, warmup." in text
    assert "- **Controls, warmup" not in text
    # The suite mixing has three of its five heads in common with it.
    assert "Run in part: 9 of 15 result files" in text


def test_evaluations_beside_the_runs_count_too(tmp_path: Path) -> None:
    command = f"python benchmarks/run_table6.py {BUDGET}"
    declare(tmp_path, {"title": "Table 6", "command": command})
    results, jobs = ResultFolder(tmp_path), run_table6.jobs(run_table6.parse(command.split()[2:]))
    run_all(tmp_path, jobs)
    first = jobs[0].experiment
    save_made_evaluation(
        results,
        first,
        Probes(),
        metrics={probe_name(*classifier): 12.5 for classifier in run_table6.CLASSIFIERS},
        environment=environment("another machine", torch="2.10.0"),
        seconds={"probes": 30.0},
    )
    assert report(tmp_path) == 0
    text = (tmp_path / "RESULTS.md").read_text()
    # 3 runs of 150 seconds.
    assert "**Cost.** 8.0 min (4 result files); 2 more not run" in text
    assert "**Hardware.** a machine, 2 cores; another machine" in text
    assert "torch 2.9.0 or 2.10.0" in text
    assert f"{first.key[:4]} probes](probes/{first.name}.json)" in text
    assert text.count("12.50 |") == len(run_table6.CLASSIFIERS)


def test_speed_is_shown_with_the_figure_of_the_part_that_has_one(tmp_path: Path) -> None:
    command = "python benchmarks/run_speed.py --parts head head-scaling --device cpu"
    declare(tmp_path, {"title": "Speed", "command": command})
    args = run_speed.parse(command.split()[2:])
    timing = {"median": 1.5, "low": 1.0, "high": 2.0}
    curve = {
        "backends": {"MATH": 1.5},
        "ran": ["MATH"],
        "tokens": [16],
        "milliseconds": [timing],
        "memory_mib": [2.0],
        "time_slope": 1.0,
        "memory_slope": 1.0,
    }
    content = {
        "flags": flags_of(PARTS["head-scaling"], args),
        "curves": {"one sequence": curve},
        "environment": msgspec.to_builtins(environment()),
    }
    (tmp_path / "speed-head-scaling-cpu.json").write_text(json.dumps(content))
    figure, _ = new_figure(1, 1, width=1, height=1)
    save_figure(figure, tmp_path / "speed-head-scaling-cpu.png")
    assert report(tmp_path) == 0
    section = (tmp_path / "RESULTS.md").read_text().split("\n### ")[1]
    assert "\n\nhead: not run\n\nhead-scaling:\n\n| " in section
    assert "](speed-head-scaling-cpu.png)" in section
    assert "1 more not run" in section


class Tags(HTMLParser):
    """Checks that tags close in order, and keeps what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.names.add(tag)
        self.ids |= {values["id"] or ""} if "id" in values else set()
        self.links += [values["href"] or ""] if "href" in values else []
        self.sources += [values["src"] or ""] if "src" in values else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_one_file(tree: Path, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "report.html"
    page.parent.mkdir()
    assert report(tree, "--html", str(page)) == 0
    tags = Tags()
    tags.feed(page.read_text())
    tags.close()
    assert not tags.open
    assert "script" not in tags.names
    assert {"table", "h2", "pre", "figure", "ul"} <= tags.names
    (source,) = tags.sources
    assert source.startswith("data:image/png;base64,iVBOR")
    assert len([link for link in tags.links if link.startswith("#")]) > 4
    for link in tags.links:
        if link.startswith("#"):
            assert link[1:] in tags.ids
        else:
            assert (page.parent / link).exists(), link
    assert "a &lt;b&gt;copy&lt;/b&gt;" in page.read_text()
    assert "A [note](javascript:x)" in page.read_text()


def test_running_twice_changes_nothing(tree: Path) -> None:
    files = tree / "RESULTS.md", tree / "report.html"
    before = set(tree.rglob("*"))
    assert report(tree) == 0
    assert set(tree.rglob("*")) - before == set(files)
    contents = [file.read_bytes() for file in files]
    assert report(tree) == 0
    assert [file.read_bytes() for file in files] == contents


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"title": "a"}, "has a title, a command"),
        ({"title": "a", "command": MIXING, "color": "red"}, "has a title, a command"),
        ({"title": "a", "command": "rm -rf"}, "'rm -rf' is not python benchmarks/SCRIPT"),
        ({"title": "a", "command": "python 'x"}, "is not python benchmarks/SCRIPT"),
        ({"title": "a", "command": f"{MIXING} --epoch many"}, "invalid int value: 'many'."),
        ({"title": "a", "command": f"{MIXING} --help"}, "it prints its help."),
        ({"title": "a", "command": f"{MIXING} --out-dir x"}, "names --out-dir; leave it out"),
        ({"title": "a", "command": f"{MIXING} --epochs -1"}, "--epochs -1 must be a number from 0"),
    ],
)
def test_a_bad_manifest(
    section: dict[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = declare(tmp_path, section)
    assert report(tmp_path) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {file}")
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "RESULTS.md").exists()


def test_other_bad_input(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*flags: str, root: Path = tree) -> str:
        assert report(root, *flags) == 2
        return capsys.readouterr().err

    (tmp_path / "empty").mkdir()
    assert "has no report.json in it" in said(root=tmp_path / "empty")
    assert "is no folder; give --results" in said(root=tmp_path / "nowhere")
    assert "nowhere is no folder" in said("--out", str(tmp_path / "nowhere" / "R.md"))
    monkeypatch.setattr(run_report, "RESULTS", tmp_path / "nowhere")
    with pytest.raises(SystemExit):
        run_script(run_report.main, [])
    assert "give --results DIR" in capsys.readouterr().err

    picture = tree / "mixing" / "controls-mixing.png"
    picture.write_text("nothing")
    assert f"{picture} is no PNG file" in said()
    picture.unlink()
    assert report(tree) == 0
    assert "The figure was not drawn" in (tree / "RESULTS.md").read_text()

    manifest = declare(tree / "again", {"title": "Batches", "command": MIXING})
    assert "the title 'Batches' is taken by" in said()
    declare(tree / "again", {"title": "Not run", "command": MIXING})
    assert "the title 'Not run' is a heading of the page; give it another." in said()
    manifest.write_text('{"sections": 3}')
    assert f'{manifest} has no list "sections"' in said()
    manifest.write_text("{")
    assert f"{manifest} is damaged" in said()
    manifest.unlink()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": {"unsupervised": 1.0}}, "metrics lacks supervised"),
        (
            {"seconds": {"train": "long", "evaluate": 1}},
            "Expected `float`, got `str` - at `$.seconds[...]`",
        ),
        ({"environment": []}, "Expected `object`, got `array` - at `$.environment`"),
        ({"config": {}}, "holds the result of another config"),
    ],
)
def test_a_damaged_result_is_named(
    changes: dict[str, Any], message: str, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (job, *_) = run_controls.jobs(run_controls.parse(RATES.split()[2:]))
    file = ResultFolder(tree / "mixing").file(job.experiment)
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    assert report(tree) == 2
    said = capsys.readouterr().err
    assert str(file) in said
    assert message in said
    assert len(said.splitlines()) == 1


def test_everything_that_can_be_run_has_a_full_run() -> None:
    suites: list[str] = []
    for name, benchmark in benchmarks().items():
        assert benchmark.full_runs, name
        for full in benchmark.full_runs:
            command = f"python benchmarks/{benchmark.script}.py {full.flags}"
            found, args = parse_command(command, benchmarks())
            assert found is benchmark
            suites += getattr(args, "suites", [])
            if name not in ("theory", "speed", "stability", "tuning"):
                assert args.epochs == (200 if name == "table1" else 1000)
    assert suites == list(SUITES)


HOSTILE = (
    "x](javascript:alert(1)) [y](javascript:z) <script>alert(1)</script> "
    "<a href='javascript:x'>q</a> ![i](javascript:j) `c` **b** | # h\n\n# heading\n\n| t |\n| - |"
)


def test_what_result_files_hold_is_text(tmp_path: Path) -> None:
    command = f"python benchmarks/run_table3.py {BUDGET} --batch-sizes 32 --seeds 0"
    declare(tmp_path, {"title": HOSTILE, "command": command, "note": HOSTILE})
    results = ResultFolder(tmp_path)
    made = Environment({"torch": HOSTILE}, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    for job in run_table3.BENCHMARK.jobs(run_table3.BENCHMARK.parse(command.split()[2:])):
        data = DataUsed(HOSTILE, HOSTILE, HOSTILE, 320, 80, 10)
        save(results, job.experiment, data=data, environment=made)
    assert report(tmp_path) == 0

    page = (tmp_path / "report.html").read_text()
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert not tags.open
    assert tags.names.isdisjoint({"script", "img"})
    assert not [link for link in tags.links if "javascript" in link.lower().split("#")[0]]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page

    text = (tmp_path / "RESULTS.md").read_text()
    without_code = re.sub(r"(`+).+?\1", "", re.sub(r"(?<!\\)\\`", "", text))
    folds = r"^(?:</?details>|<summary>[^<]*</summary>)$"
    assert re.findall(folds, without_code, flags=re.MULTILINE)
    without_code = re.sub(folds, "", without_code, flags=re.MULTILINE)
    assert not re.search(r"(?<!\\)<[A-Za-z/!]", without_code)
    assert not re.search(r"(?<!\\)\]\(javascript", without_code)
    assert "\n# heading" not in text
    headings = re.findall("^##+ .*", text, flags=re.MULTILINE)
    assert len(headings) == 5
    rows = [line for line in text.splitlines() if line.startswith("| Transformer over")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 7 for row in rows)
    assert rows
