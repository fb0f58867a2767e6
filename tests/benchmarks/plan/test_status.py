import dataclasses
import time
from pathlib import Path

import pytest
from made_results import save_made, save_made_evaluation

from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.evaluate.probes import Probes
from df_heads.benchmarks.harness.plan.status import Clock, look, status
from df_heads.benchmarks.harness.store.locks import try_lock
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.text import to_terminal

FIRST = Experiment("digits", "transformer-small", epochs=10)
PROBES = Probes()
CELLS = [Job(dataclasses.replace(FIRST, seed=seed)) for seed in range(5)]


def finish(results: ResultFolder, experiment: Experiment, seconds: float) -> None:
    save_made(results, experiment, seconds={"train": seconds, "evaluate": 10.0})


def test_every_cell_is_in_one_state(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    finish(results, CELLS[0].experiment, 100)
    finish(results, CELLS[1].experiment, 100)
    results.save_failure(CELLS[2].experiment, "it diverged")
    with try_lock(results.lock_file(CELLS[3].experiment)):
        cells = look([*CELLS, *CELLS], results)
    assert cells.done == {CELLS[0], CELLS[1]}
    assert cells.failed == {CELLS[2]: "it diverged"}
    assert list(cells.running) == [CELLS[3]]
    assert cells.missing == {CELLS[4]}


def test_a_failed_cell_that_is_tried_again_is_running(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    results.save_failure(FIRST, "it diverged")
    with try_lock(results.lock_file(FIRST)):
        assert list(look([Job(FIRST)], results).running) == [Job(FIRST)]


def test_a_cell_without_its_probes_is_not_done(tmp_path: Path) -> None:
    results, wanted = ResultFolder(tmp_path), Job(FIRST, (PROBES,))
    finish(results, FIRST, 1)
    assert look([wanted], results).missing == {wanted}
    save_made_evaluation(results, FIRST, PROBES)
    assert look([wanted], results).done == {wanted}


def test_time_left_comes_from_runs_of_the_same_budget(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    other_head = dataclasses.replace(FIRST, head="feedforward-small")
    longer = dataclasses.replace(FIRST, epochs=1000)
    finish(results, CELLS[0].experiment, 90)
    finish(results, CELLS[1].experiment, 190)
    finish(results, other_head, 40)
    clock = Clock([CELLS[0], CELLS[1], Job(other_head)], results)
    assert clock.estimate(CELLS[2].experiment) == 150
    large = dataclasses.replace(FIRST, head="transformer-large")
    assert clock.estimate(large) == pytest.approx((100 + 200 + 50) / 3)
    assert clock.estimate(longer) is None
    with try_lock(results.lock_file(CELLS[3].experiment)):
        cells = look([*CELLS[2:], Job(longer)], results)
        since = cells.running[CELLS[3]].since
        assert clock.left(cells, since + 60) == (150 + 150 + 90, 1)
        assert clock.left(cells, since + 999) == (300, 1)


def test_the_page_counts_shared_cells_once(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    finish(results, CELLS[0].experiment, 90)
    results.save_failure(CELLS[4].experiment, "it diverged")
    tables = {
        "Table 2": CELLS[:3],
        "Table 6": [Job(job.experiment, (PROBES,)) for job in CELLS[1:]],
    }
    with try_lock(results.lock_file(CELLS[1].experiment)):
        time.sleep(0.01)
        lines = to_terminal(status(tables, results)).splitlines()
    rows = [[text.strip() for text in line.strip("|").split("|")] for line in lines[2:5]]
    assert rows[0][:5] == ["Table 2", "1", "1", "0", "1"]
    assert rows[1][:5] == ["Table 6", "0", "1", "1", "2"]
    assert rows[2][:5] == ["all, shared cells once", "1", "1", "1", "2"]
    assert rows[0][5] == "3.3 min"
    text = "\n".join(lines)
    assert f"running: {CELLS[1].experiment.name} (process " in text
    assert "failed: it diverged" in text
    assert "1 now at work." in text


def test_nothing_is_guessed_where_nothing_was_finished(tmp_path: Path) -> None:
    text = to_terminal(status({"Table 2": CELLS}, ResultFolder(tmp_path)))
    assert "5 of a budget never finished" in text
    assert "0 now at work" in text
