from typing import Any

import pytest

from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.tables.accuracy import accuracy_table
from df_heads.benchmarks.harness.tables.runs import Configuration, Runs


def row(**printed: Any) -> Runs:
    asked = Configuration(
        ("digits",), "transformer-small", {0: Experiment("digits", "transformer-small")}, **printed
    )
    return Runs(asked, lambda _: None)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ({}, []),
        ({"paper": {"unsup. %": 1.0}}, ["unsup. %"]),
        ({"paper_hours": 2.0}, ["train time"]),
    ],
)
def test_the_paper_s_columns_stand_where_it_printed_something(
    printed: Any, expected: list[str]
) -> None:
    table = accuracy_table(["data"], [row(), row(**printed)])
    header = list(table.headings)
    assert [header[i - 1] for i, name in enumerate(header) if name == "paper"] == expected
    assert {len(cells) for cells in table.rows} == {len(header)}
