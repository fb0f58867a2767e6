"""The control experiments: what each compares, and the question it answers."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.names import BASELINE, CONTROL, UNIFORM
from df_heads.benchmarks.harness.base.registry import Registry
from df_heads.benchmarks.harness.plan.mechanism import MECHANISM, ORACLE
from df_heads.benchmarks.harness.plan.protocols import Protocol
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.train.methods import METHODS, defaults_of, only_of_method, takes

# Layers of the paper's Transformer heads: the presets', so such a cell is Table 2's.
PRESET_LAYERS = 5
FEEDFORWARD, TRANSFORMER, OFF = BASELINE, "transformer", CONTROL
STABLE, STABLE_OFF = "transformer-stable", "transformer-stable-self"
TIED, LIGHTLY = "transformer-tied", "lightly"


@dataclass(frozen=True)
class Variant:
    """One cell of a suite: a head in a setting.

    Attributes:
        head: Its family.
        setting: What tells the cells of one head apart, in words.
        changes: Fields of Experiment that differ from the recipe of the command line.
    """

    head: str
    setting: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """Cells that together answer one question.

    Attributes:
        question: One sentence, for --help and above the table.
        variants: The cells, from the parsed flags.
        references: Heads that the others are compared with, within a setting, and each other
            with those before it.
        baselines: Settings that each head's other settings are compared with, a baseline with
            those before it.
        note: One sentence for above the table on what the flags leave out; empty for none.
        protocol: Hypotheses that are judged together, on seeds stated before; None for none.
        topic: The part of the report that it is in.
    """

    question: str
    variants: Callable[[argparse.Namespace], Sequence[Variant]]
    references: Sequence[str] = (FEEDFORWARD, OFF)
    baselines: Sequence[str] = ()
    note: Callable[[argparse.Namespace], str] = lambda _: ""
    topic: Topic = Topic.HELP
    protocol: Protocol | None = None

    @property
    def seeds(self) -> Sequence[int]:
        """The seeds of its full run: those of its protocol, or three."""
        return range(3) if self.protocol is None else self.protocol.seeds


def grid(heads: Sequence[str], settings: Mapping[str, Mapping[str, Any]]) -> list[Variant]:
    """Every head in every setting."""
    return [Variant(head, name, settings[name]) for name, head in product(settings, heads)]


def heads_only(*heads: str) -> Callable[[argparse.Namespace], list[Variant]]:
    """Every head in the recipe of the command line."""
    return lambda _: grid(heads, {"": {}})


def baselines(args: argparse.Namespace) -> list[Variant]:
    """The Transformer, and attention off, beside heads of other budgets."""
    rivals = [Variant(FEEDFORWARD, "equal parameters"), Variant(LIGHTLY, "lightly's own")]
    if args.equal_time_dim is not None:
        setting = f"equal step time, {args.equal_time_dim} wide"
        rivals.append(Variant(FEEDFORWARD, setting, {"hidden_dim": args.equal_time_dim}))
    return [
        variant
        for rival in rivals
        for variant in (rival, *grid([TRANSFORMER, OFF], {rival.setting: {}}))
    ]


def _equal_time_note(args: argparse.Namespace) -> str:
    if args.equal_time_dim is not None:
        return ""
    return (
        "The feed-forward head at equal step time is left out: it needs --equal-time-dim, which "
        "--measure-equal-time prints for the device that the runs are for."
    )


def norms(_: argparse.Namespace) -> list[Variant]:
    """LayerNorm behind each sublayer, and before it."""
    return grid([TRANSFORMER, OFF], {"post-norm": {}, "pre-norm": {"norm_first": True}})


def views(args: argparse.Namespace) -> list[Variant]:
    """Each view its own sequence, and both in one, there with an image's own views apart too.

    With attention off a sample meets no other, so all settings are the same cell.
    """
    separate, joint = {"views": "separate"}, {"views": "joint"}
    masked: dict[str, Mapping[str, Any]] = {}
    if takes(args.method, "mask_partner"):
        masked["joint, partner masked"] = {**joint, "mask_partner": True}
    settings = {"separate": separate, "joint": joint}
    return [
        *grid([FEEDFORWARD, TRANSFORMER], settings),
        *grid([TRANSFORMER], masked),
        *grid([OFF], dict.fromkeys([*settings, *masked], separate)),
    ]


def streams(_: argparse.Namespace) -> list[Variant]:
    """The loss with mixing, and with and without it on the same weights; in SimCLR only.

    With attention off both streams are equal, so both settings are the same cell.
    """
    one = only_of_method("simclr")
    two = {**one, "streams": 2}
    return [
        *grid([TRANSFORMER, TIED], {"one stream": one, "two streams": two}),
        *grid([OFF], {"one stream": one, "two streams": one}),
    ]


def depths(args: argparse.Namespace) -> list[Variant]:
    """Heads of 1 to 10 layers."""
    layers = (1, PRESET_LAYERS) if args.smoke else (1, 2, PRESET_LAYERS, 10)
    settings: dict[str, dict[str, Any]] = {
        _layers(n): {} if n == PRESET_LAYERS else {"num_layers": n} for n in layers
    }
    return grid([TRANSFORMER, OFF], settings)


def _layers(count: int) -> str:
    return f"{count} layer" if count == 1 else f"{count} layers"


def sequences(args: argparse.Namespace) -> list[Variant]:
    """Sequences of 64, 128, ... up to the batch; attention off is a sequence of one."""
    length, batch = 16 if args.smoke else 64, args.batch_size // args.devices
    settings: dict[str, dict[str, Any]] = {"the batch": {}}
    while length < batch:
        settings[f"{length} samples"] = {"sequence_length": length}
        length *= 2
    return [*grid([TRANSFORMER], settings), *grid([OFF], {name: {} for name in settings})]


def warmups(args: argparse.Namespace) -> list[Variant]:
    """With the recipe's warmup, and without."""
    usual = args.warmup_fraction or Experiment.warmup_fraction
    settings = {
        "warmup": {"warmup_fraction": usual},
        "no warmup": {"warmup_fraction": 0.0},
    }
    return grid([FEEDFORWARD, TRANSFORMER, OFF], settings)


def methods(args: argparse.Namespace) -> list[Variant]:
    """Every method, with a default of its own where the flags give no value."""
    settings = {}
    for name in ("simclr", "moco", "byol") if args.smoke else METHODS:
        own = {k: v for k, v in defaults_of(name).items() if getattr(args, k) is None}
        settings[name] = {**own, **only_of_method(name)}
    return grid([FEEDFORWARD, TRANSFORMER, OFF], settings)


def stems(_: argparse.Namespace) -> list[Variant]:
    """The paper's 7x7 stem, and the 3x3 stem of the public tables."""
    settings = {"7x7 stem": {"stem": "imagenet"}, "3x3 stem": {"stem": "small"}}
    return grid([FEEDFORWARD, TRANSFORMER, OFF], settings)


def imbalances(args: argparse.Namespace) -> list[Variant]:
    """Balanced classes, and long-tailed ones."""
    settings = {"balanced": {"imbalance": 1.0}}
    for ratio in (10.0,) if args.smoke else (10.0, 100.0):
        settings[f"ratio {ratio:g}"] = {"imbalance": ratio}
    return grid([FEEDFORWARD, TRANSFORMER, OFF], settings)


def classes(args: argparse.Namespace) -> list[Variant]:
    """Two classes, five and all, for as many images; in SimCLR with the oracle."""
    heads = [TRANSFORMER, UNIFORM, OFF, *([ORACLE] if args.method == "simclr" else [])]
    settings: dict[str, dict[str, Any]] = {
        "all classes": {"classes": None},
        "2 classes": {"classes": 2},
    }
    if not args.smoke:
        settings["5 classes"] = {"classes": 5}
    return grid(heads, settings)


def lengths(args: argparse.Namespace) -> list[Variant]:
    """The recipe's epochs, and two and four times as many."""
    longer = (1, 2) if args.smoke else (1, 2, 4)
    settings = {f"{n * args.epochs} epochs": {"epochs": n * args.epochs} for n in longer}
    return grid([TRANSFORMER, UNIFORM, OFF], settings)


def steps(_: argparse.Namespace) -> list[Variant]:
    """The eager step, the compiled one, and views by lightly, with the cheapest head."""
    settings: dict[str, dict[str, Any]] = {
        "eager step": {"compiled": False, "augment": "ours"},
        "compiled step": {"compiled": True, "augment": "ours"},
        "eager step, lightly's views": {"compiled": False, "augment": "lightly"},
    }
    return grid([LIGHTLY], settings)


_OF_THE_PROJECT: dict[str, Suite] = {
    "mixing": Suite(
        "Does attending over the batch help, or do the same layers without it do as well?",
        heads_only(FEEDFORWARD, TRANSFORMER, TIED, UNIFORM, OFF),
        references=(FEEDFORWARD, OFF, UNIFORM),
    ),
    "form": Suite(
        "Does the stable form train as well as the paper's, with mixing, uniform and without?",
        heads_only(
            TRANSFORMER,
            STABLE,
            OFF,
            STABLE_OFF,
            UNIFORM,
            "transformer-stable-uniform",
        ),
        references=(OFF, UNIFORM, TRANSFORMER, STABLE_OFF),
    ),
    "mechanism": Suite(
        "What does mixing the batch do: find the class, or centre the features?",
        heads_only(*MECHANISM.heads),
        references=(),
        protocol=MECHANISM,
    ),
    "baselines": Suite(
        "Does the head beat what users have today, and a feed-forward head of equal cost?",
        baselines,
        references=(LIGHTLY, FEEDFORWARD, OFF),
        note=_equal_time_note,
    ),
    "norm": Suite(
        "Does it matter whether LayerNorm comes behind each sublayer or before it?",
        norms,
        references=(OFF,),
        baselines=("post-norm",),
    ),
    "views": Suite(
        "Does it matter whether the two views of an image share a sequence, and see each other?",
        views,
        baselines=("separate", "joint"),
    ),
    "streams": Suite(
        "Does it help to train the same weights with and without mixing, as BatchFormer does?",
        streams,
        references=(OFF,),
        baselines=("one stream",),
    ),
    "depth": Suite(
        "Does the head need its layers, and does mixing gain with depth?",
        depths,
        references=(OFF,),
        baselines=(_layers(PRESET_LAYERS),),
    ),
    "sequence": Suite(
        "How many samples must attend to each other for what the head gains?",
        sequences,
        references=(OFF,),
        baselines=("the batch",),
    ),
    "warmup": Suite(
        "Which heads need a warmup of the learning rate?",
        warmups,
        baselines=("warmup",),
        topic=Topic.COLLAPSE,
    ),
    "method": Suite(
        "Does the head help in other methods as it does in SimCLR, at one learning rate? SupCon "
        "trains on labels: only heads within a method compare.",
        methods,
    ),
    "stem": Suite(
        "Does the gain hold with the 3x3 stem, whose numbers compare with public tables?",
        stems,
    ),
    "imbalance": Suite(
        "Does the gain hold on imbalanced classes? Higher ratios have fewer images: only heads "
        "within a ratio compare.",
        imbalances,
    ),
    "classes": Suite(
        "Does mixing gain where a batch holds more samples of each class? Fewer classes have fewer "
        "images unless --train-images says how many: only heads within a setting compare.",
        classes,
        references=(OFF, UNIFORM),
    ),
    "length": Suite(
        "Does attention leave uniform attention behind in longer training?",
        lengths,
        references=(OFF, UNIFORM),
    ),
    "step": Suite(
        "Do the compiled step, and views by lightly's transform, train as well as the eager step?",
        steps,
        references=(),
        baselines=("eager step",),
        topic=Topic.COST,
    ),
}


def _from_outside(name: str, found: Any) -> Suite:
    if not isinstance(found, Suite):
        raise TypeError(f"it must be a {Suite.__module__}.Suite, not a {type(found).__name__}")
    return found


#: Name -> suite, in the order in which they run.
SUITES: Registry[Suite] = Registry("suite", _from_outside, group="df_heads.suites")
for _name, _suite in _OF_THE_PROJECT.items():
    SUITES.add(_name, _suite)
