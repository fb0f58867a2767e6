"""Random heads and random files: what holds for all of them.

A few examples in the ordinary run, thousands with DF_HEADS_FAULTS=1.
"""

import copy
import json
import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from made_results import made_result
from torch import Tensor, nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.benchmarks import run_report, run_theory
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.speed.parts import PARTS, stored_table
from df_heads.benchmarks.harness.stability.store import TrialFolder
from df_heads.benchmarks.harness.stability.table import blocks_of
from df_heads.benchmarks.harness.store.files import write_struct
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import FusionResult
from df_heads.benchmarks.harness.tables.text import to_markdown

LONG = "DF_HEADS_FAULTS" in os.environ
Count = Callable[[str, object], None]


def examples(quick: int, long: int) -> settings:
    return settings(
        max_examples=long if LONG else quick,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def tally(record: Count, check: Callable[[], Any]) -> None:
    """Run a hypothesis test; it counts its examples in `seen`."""
    seen.clear()
    check()
    record("count", len(seen))


seen: list[None] = []

SIZES = st.integers(1, 9)
OPTIONS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        **dict.fromkeys(("input_dim", "hidden_dim", "output_dim"), SIZES),
        **{"num_layers": st.integers(1, 3), "num_heads": st.integers(1, 3), "head_dim": SIZES},
        "mlp_ratio": st.floats(1, 3),
        "form": st.sampled_from(["stable", "paper"]),
        "norm_first": st.none() | st.booleans(),
        "residual_scale": st.none() | st.floats(0.01, 2),
        "input_norm": st.sampled_from([None, "batch", "layer"]),
        "sequence_length": st.none() | st.integers(1, 12),
        "attention": st.sampled_from(["softmax", "tied", "self", "uniform"]),
    }
)


@st.composite
def heads(draw: st.DrawFn) -> nn.Module:
    options = draw(OPTIONS)
    if draw(st.integers(0, 3)):
        return TransformerProjectionHead(**options)
    kept = {k: options[k] for k in ("input_dim", "hidden_dim", "output_dim", "num_layers")}
    return FeedForwardProjectionHead(**kept, batch_norm=draw(st.booleans()))


def has_batch_norm(head: nn.Module) -> bool:
    return any("BatchNorm" in type(module).__name__ for module in head.modules())


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-8, atol=1e-8)


def test_heads(record_property: Count) -> None:
    """Finite outputs of the right shape, and the order of a batch does not matter."""

    @examples(30, 10_000)
    @given(
        head=heads(),
        seed=st.integers(0, 2**31),
        sequences=st.none() | st.integers(1, 3),
        length=st.integers(1, 12),
        scale=st.sampled_from([0.0, 1e-20, 1.0, 1e6]),
        masked=st.booleans(),
        train=st.booleans(),
    )
    def check(
        head: Any,
        seed: int,
        sequences: int | None,
        length: int,
        scale: float,
        masked: bool,
        train: bool,
    ) -> None:
        seen.append(None)
        draw = torch.Generator().manual_seed(seed)
        shape = (length,) if sequences is None else (sequences, length)
        size = (*shape, head.input_dim)
        x = scale * torch.randn(size, generator=draw, dtype=torch.float64)
        head.double().train(train)
        options: dict[str, Any] = {}
        if masked and isinstance(head, TransformerProjectionHead):
            options["attn_mask"] = torch.rand(length, length, generator=draw) < 0.7
        if train and length == 1 and has_batch_norm(head):
            with pytest.raises(ValueError, match="BatchNorm cannot train on"):
                head(x, **options)
            return
        before = copy.deepcopy(head)
        z = head(x, **options)
        assert z.shape == (*shape, head.output_dim)
        assert z.isfinite().all()
        if getattr(head, "sequence_length", None) is not None:
            return
        order = torch.randperm(length, generator=draw)
        if options:
            options["attn_mask"] = options["attn_mask"][order][:, order]
        if scale <= 1:  # at 1e6 rounding decides where differences are of the size of eps
            assert close(before(x[..., order, :], **options), z[..., order, :])

    tally(record_property, check)


ANYTHING = st.one_of(
    st.integers(-3, 20),
    st.floats(allow_nan=True, allow_infinity=True),
    st.none(),
    st.booleans(),
    st.sampled_from(["stable", "paper", "batch", "layer", "softmax", "self", "", "x"]),
)


def test_arguments_of_heads(record_property: Count) -> None:
    """A head that works, or one sentence."""

    @examples(50, 10_000)
    @given(
        options=st.dictionaries(
            st.sampled_from(
                [
                    *("input_dim", "hidden_dim", "output_dim", "num_layers", "num_heads"),
                    *("head_dim", "dropout", "form", "norm_first", "residual_scale"),
                    *("input_norm", "sequence_length", "attention", "gather_distributed"),
                ]
            ),
            ANYTHING,
            max_size=4,
        )
    )
    def check(options: dict[str, Any]) -> None:
        seen.append(None)
        small = {"input_dim": 4, "hidden_dim": 4, "output_dim": 4, "num_layers": 1, "head_dim": 2}
        try:
            head = TransformerProjectionHead(**{**small, **options}).eval()
        except (TypeError, ValueError) as error:
            said = str(error)
        else:
            assert head(torch.randn(5, head.input_dim)).shape == (5, head.output_dim)
            return
        assert any(said.startswith(f"{name}=") for name in options), said

    tally(record_property, check)


def test_features(record_property: Count) -> None:
    """Any tensor is projected, or refused in one sentence."""

    @examples(50, 10_000)
    @given(
        shape=st.lists(st.integers(0, 5), max_size=4),
        dtype=st.sampled_from(
            [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool]
        ),
        mask=st.none() | st.lists(st.integers(0, 5), max_size=3),
    )
    def check(shape: list[int], dtype: torch.dtype, mask: list[int] | None) -> None:
        seen.append(None)
        head = TransformerProjectionHead(4, 4, 4, num_layers=1, num_heads=1, head_dim=2).eval()
        attn_mask = None if mask is None else torch.ones(mask, dtype=torch.bool)
        try:
            z = head(torch.ones(shape).to(dtype), attn_mask=attn_mask)
        except ValueError as error:
            said = str(error)
        else:
            assert z.shape == (*shape[:-1], 4)
            return
        assert said.startswith(("x ", "attn_mask "))

    tally(record_property, check)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "inf", "nan", "../x", "\0", "<script>", "1e999"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def mutated(content: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """The content with one thing in it removed or replaced."""
    content = copy.deepcopy(content)
    place = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        assume(keys)
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 3)):
            place = place[key]
            continue
        if draw(st.booleans()):
            del place[key]
        else:
            place[key] = draw(JSON)
        return content


EXPERIMENT = Experiment("digits", "transformer-small")
STORED = run_report.RESULTS


def read_result(folder: Path) -> None:
    ResultFolder(folder).load(EXPERIMENT)


def read_fusion(folder: Path) -> None:
    file = next(folder.glob("*.json"))
    content = json.loads(file.read_text())
    config = content.get("config") if isinstance(content, dict) else None
    if isinstance(config, dict):
        ResultFolder(folder).load_as(FusionResult, file, Experiment.from_config(config))


def read_trials(folder: Path) -> None:
    to_markdown(blocks_of(TrialFolder(folder).trials))


def read_theory(folder: Path) -> None:
    loaded = run_theory.load(ResultFolder(folder))
    assert loaded is not None
    to_markdown(run_theory.blocks_of(loaded[1], loaded[2]))


def read_speed(folder: Path) -> None:
    file = next(folder.glob("*.json"))
    _, name, device = file.stem.replace("head-scaling", "head_scaling").split("-")
    name = name.replace("_", "-")
    content = json.loads(file.read_text())
    flags = content.get("flags") if isinstance(content, dict) else None
    args = Namespace(**dict.fromkeys(PARTS[name].flags))
    if isinstance(flags, dict):
        args = Namespace(**{**vars(args), **flags})
    to_markdown(stored_table(name, args, ResultFolder(folder), device))


def made(folder: Path) -> Path:
    file = ResultFolder(folder).file(EXPERIMENT)
    write_struct(file, made_result(EXPERIMENT))
    return file


def stored_speed(part: str) -> Path:
    return next(STORED.rglob(f"speed-{part}-*.json"))


READERS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Path]]] = {
    "result": (read_result, made),
    "trials": (read_trials, lambda _: next(STORED.glob("*/trials-simclr-test_resnet-stable.json"))),
    "theory": (read_theory, lambda _: next(STORED.glob("*/theory.json"))),
    **{
        part: (read_speed, lambda _, part=part: stored_speed(part))  # type: ignore[misc]
        for part in PARTS
    },
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.skipif(not STORED.is_dir(), reason="needs the results of a checkout")
def test_changed_results(kind: str, tmp_path: Path, record_property: Count) -> None:
    """A changed result file is shown or refused; it is left as it is."""
    read, find = READERS[kind]
    good = find(tmp_path)
    whole = json.loads(good.read_text())
    file = tmp_path / good.name
    file.write_text(json.dumps(whole))
    read(tmp_path)

    @examples(15, 1_000)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        seen.append(None)
        changed = mutated(whole, data.draw) if data.draw(st.integers(0, 9)) else data.draw(JSON)
        file.write_text(json.dumps(changed))
        before = file.read_bytes()
        said = str(file)
        try:
            read(tmp_path)
        except InputError as error:
            said = str(error)
        assert str(file) in said
        assert file.read_bytes() == before

    tally(record_property, check)
