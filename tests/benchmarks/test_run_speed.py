import pytest

from df_heads.benchmarks import run_speed
from df_heads.benchmarks.harness.cli import run_script


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "choose what to measure: --head, --head-scaling, --loss"),
        (["--head", "--tokens", "0"], "must be at least 1"),
        (["--head", "--memory-tokens", "64"], "two different numbers"),
        (["--head-scaling", "--max-tokens", "4096"], "must be at least 8192"),
        (["--head-scaling", "--scaling-repeats", "0"], "must be at least 1"),
        (["--loss", "--loss-samples", "64"], "two different numbers"),
        (["--loss", "--loss-samples", "64", "65"], "must be even and at least 4"),
        (["--loss", "--loss-chunk-size", "0"], "must be at least 1"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_script(run_speed.main, arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
