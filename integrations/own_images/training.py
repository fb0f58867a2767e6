"""Training on a folder of pictures, from the folder to a run that can be taken away."""

import dataclasses
import importlib.util
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from filelock import FileLock, Timeout
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger

import df_heads
from df_heads.augment import SimCLRAugment
from df_heads.integrations.callbacks.collapse_monitor import CollapseMonitor
from df_heads.integrations.callbacks.online_knn import OnlineKNN
from df_heads.integrations.choices import (
    LOGGERS,
    LoggerName,
    MethodName,
    Optimizer,
    Precision,
    Resize,
    Stem,
)
from df_heads.integrations.errors import InputError
from df_heads.integrations.files.checkpoint_files import CHECKPOINT, CheckpointFiles
from df_heads.integrations.method.base import Method
from df_heads.integrations.method.classes import method_class
from df_heads.integrations.own_images.closing_words import closing_words
from df_heads.integrations.own_images.epoch_report import EpochReport, say_beside_a_bar
from df_heads.integrations.own_images.opening import Pictures, Say, describe, open_pictures
from df_heads.integrations.own_images.recipe import Recipe, fit_image_size, fit_recipe
from df_heads.integrations.own_images.resuming import checkpoint_to_resume, earlier_run
from df_heads.integrations.runs import (
    BackboneConfig,
    FeaturesConfig,
    ImagesConfig,
    Preprocessing,
    Run,
    RunConfig,
    write_config,
)
from df_heads.integrations.runs.heads import describe_head
from df_heads.integrations.runs.run import FORMAT
from df_heads.integrations.training import interruption
from df_heads.integrations.training.augmented_images import AugmentedImages
from df_heads.integrations.training.callbacks import RunProgress, SeedEachStep, TrainingCurve
from df_heads.integrations.training.checkpoints import Checkpoints
from df_heads.integrations.training.finiteness import NotFiniteError
from df_heads.integrations.training.quiet_lightning import quiet_lightning

#: Pictures that tell how good the features are: the held out ones if they are that many, or if the
#: others' labels are trained on.
MEASURED = 500
LEAST_HELD_OUT = 200
CHECKPOINTS_PER_RUN, CHECKPOINT_MINUTES = 20, 5.0
OUT = Path("runs")


def train(
    folder: Path | str,
    out: Path | str | None = None,
    *,
    method: MethodName = "simclr",
    head: str | None = None,
    backbone: str | None = None,
    stem: Stem | None = None,
    pretrained: bool | None = None,
    optimizer: Optimizer | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    resize: Resize | None = None,
    min_scale: float | None = None,
    color_jitter: float | None = None,
    workers: int | None = None,
    precision: Precision | None = None,
    seed: int | None = None,
    skip_unreadable: bool = False,
    logger: LoggerName = "csv",
    progress: bool = True,
    say: Say = say_beside_a_bar,
) -> Run:
    """Train on the pictures in a folder, without their labels.

    >>> from df_heads.integrations.own_images import train
    >>> run = train("shapes", "runs/shapes", epochs=50)

    What is None is fitted to the pictures and the machine, and said. Labels, if the folder has
    them, only measure the features, but for method="supcon", which trains on them and is measured
    on the held out pictures. Called again with the same arguments it goes on where it was
    interrupted, or finds the run finished; another run in the way is refused and left as it was.

    Args:
        folder: Pictures: see own_images.finding.find_pictures.
        out: The run folder; None for runs/<name of the folder>.
        method: One of df_heads.integrations.choices.METHODS.
        head: A name of df_heads.HEAD_PRESETS; the default is "transformer-stable".
        backbone: A timm model by name.
        stem: "imagenet", or "small" for small pictures: see build_backbone.
        pretrained: Start from timm's weights of the backbone (a download).
        optimizer: "sgd", "lars" or "adamw".
        learning_rate: At its peak, for the whole batch.
        weight_decay: Of the weights.
        epochs: Rounds through the pictures.
        batch_size: Pictures a step, at most those to train on.
        image_size: Side of the squares that the pictures become.
        resize: "crop" keeps the central square of a picture, "stretch" all of it.
        min_scale: Least area of a random crop, of a picture's.
        color_jitter: Strength of the random colours; 0 leaves them as they are.
        workers: Processes that make batches.
        precision: "32-true", "bf16-mixed" or "16-mixed".
        seed: Of weights, order and views.
        skip_unreadable: Leave out pictures that cannot be decoded, instead of refusing the folder.
        logger: Beside curve.csv: "tensorboard" or "wandb"; "csv" for no more than it.
        progress: Whether to show a bar on a terminal.
        say: Gets every line that is said.

    Returns:
        The run; `df_heads.integrations.runs.load_backbone` gives its backbone.

    Raises:
        InputError: If the pictures or a setting cannot be used, or the run folder holds something
            else; one sentence with the way out.
        NotFiniteError: If the training diverged.
        KeyboardInterrupt: At Ctrl+C, after a checkpoint was written; the same call goes on there.
            Another signal that asks to stop is a SystemExit.
    """
    folder = Path(folder).expanduser()
    path = OUT / folder.resolve().name if out is None else Path(out).expanduser()
    given: dict[str, Any] = {
        **{"method": method, "head": head, "backbone": backbone, "stem": stem},
        **{"pretrained": pretrained, "optimizer": optimizer, "learning_rate": learning_rate},
        **{"weight_decay": weight_decay, "epochs": epochs, "batch_size": batch_size},
        **{"image_size": image_size, "resize": resize, "min_scale": min_scale},
        **{"color_jitter": color_jitter, "workers": workers, "precision": precision, "seed": seed},
    }
    before = earlier_run(path, given)
    if before is not None:
        given = {**given, **before.config.recipe}
    preprocessing = Preprocessing(
        image_size=given["image_size"] or fit_image_size(), resize=given["resize"] or "crop"
    )
    pictures = open_pictures(folder, preprocessing, skip_unreadable=skip_unreadable, say=say)
    recipe = fit_recipe(len(pictures.train_images), **given)
    if before is not None:
        if before.config.images.fingerprint != pictures.fingerprint:
            raise InputError(
                f"{path} was trained on other pictures than those of {folder} (fingerprint "
                f"{before.config.images.fingerprint}, not {pictures.fingerprint}); choose another "
                "--out."
            )
        if before.config.finished:
            say(f"{path} is finished: nothing to do. To train again choose another --out.")
            return before
    uses_labels = method_class(recipe.method).uses_labels
    if uses_labels and pictures.labels is None:
        raise InputError(
            f"--method {recipe.method} trains on labels, and {folder} has none; put its pictures "
            "into a folder for each class, or use --method simclr."
        )
    model, batches = _build_method(recipe), _build_batches(recipe, pictures)
    loggers = _build_logger(logger, path)
    command = recipe.command(folder, path, skip_unreadable=skip_unreadable)
    for line in (*describe(pictures, preprocessing), *_describe_training(recipe, command)):
        say(line)
    config = _config(recipe, model, pictures, preprocessing, command)
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / ".lock")
    try:
        with lock.acquire(timeout=0):
            run = write_config(path, config)
            report = _fit(
                model, batches, run, recipe, pictures, loggers, progress=progress, say=say
            )
            features = FeaturesConfig(
                metric=report.metric,
                pictures=len(report.knn.images) if report.knn.images is not None else 0,
                untrained=report.untrained,
                trained=report.trained,
            )
            config = msgspec.structs.replace(config, finished=True, features=features)
            run = write_config(path, config)
    except Timeout as error:
        raise InputError(f"another process trains into {path}; choose another --out.") from error
    for line in closing_words(run, folder):
        say(line)
    return run


def _fit(
    model: Method,
    batches: AugmentedImages,
    run: Run,
    recipe: Recipe,
    pictures: Pictures,
    logger: Logger | Literal[False],
    *,
    progress: bool,
    say: Callable[[str], object],
) -> EpochReport:
    owner = {"recipe": dataclasses.asdict(recipe), "images": pictures.fingerprint}
    checkpoint = checkpoint_to_resume(run, owner, say)
    every = max(1, recipe.epochs // CHECKPOINTS_PER_RUN)
    curve, knn = TrainingCurve(), OnlineKNN(*_measured(pictures, run.config))
    report = EpochReport(run, curve, knn, say, every)
    quiet_lightning()
    trainer = Trainer(
        max_epochs=recipe.epochs,
        accelerator="auto",
        devices=1,
        precision=recipe.precision,
        logger=logger,
        callbacks=[
            SeedEachStep(recipe.seed),
            CollapseMonitor(),
            curve,
            knn,
            report,
            *([RunProgress("training", only_on_terminals=True)] if progress else []),
            Checkpoints(run.checkpoints, owner, every_n_epochs=every, minutes=CHECKPOINT_MINUTES),
        ],
        plugins=[CheckpointFiles()],
        enable_progress_bar=progress,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    with interruption.stoppable(), interruption.postponed(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Ours does, by OrderOfRun.
        warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
        try:
            trainer.fit(model, batches, ckpt_path=checkpoint)
        except interruption.Interrupted:
            report.write_weights(model)
            raise
        except NotFiniteError as error:
            raise NotFiniteError(f"{error} The last good checkpoint is in {run.path}.") from error
        report.write_weights(model)
        trainer.save_checkpoint(run.checkpoints / CHECKPOINT)
    return report


def _build_batches(recipe: Recipe, pictures: Pictures) -> AugmentedImages:
    """The batches of views, with the labels if there are any.

    Raises:
        InputError: If a setting of the views is out of its range.
    """
    images, labels = pictures.train_images, pictures.train_labels
    try:
        augment = SimCLRAugment(
            recipe.image_size,
            min_scale=recipe.min_scale,
            cj_strength=recipe.color_jitter,
            # The usual blur is for pictures of 224 pixels: see the CIFAR recipe of SimCLR.
            gaussian_blur=0.5 if recipe.image_size > 64 else 0.0,
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    return AugmentedImages(
        images,
        np.zeros(len(images), np.int64) if labels is None else labels,
        augment,
        batch_size=recipe.batch_size,
        workers=recipe.workers,
        seed=recipe.seed,
    )


def _measured(pictures: Pictures, config: RunConfig) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The pictures that measure the features, and their labels.

    Few held out ones are better than many whose labels the features were trained on.
    """
    rows = np.flatnonzero(pictures.held_out)
    least = 2 if method_class(config.recipe["method"]).uses_labels else LEAST_HELD_OUT
    if len(rows) < least:
        rows = np.arange(len(pictures.images))
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:MEASURED])
    images = config.preprocessing.normalize(torch.from_numpy(pictures.images[rows]))
    return images, None if pictures.labels is None else torch.from_numpy(pictures.labels[rows])


def _build_method(recipe: Recipe) -> Method:
    """The untrained model; the same for the same seed.

    Raises:
        InputError: If a part of it cannot be built.
    """
    method = method_class(recipe.method)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            model = method(
                recipe.backbone,
                recipe.head,
                stem=recipe.stem,
                image_size=recipe.image_size,
                pretrained=recipe.pretrained,
                optimizer=recipe.optimizer,
                learning_rate=recipe.learning_rate,
                weight_decay=recipe.weight_decay,
                **method.short_run_options(recipe.batch_size),
            )
        model.check_batch_size(recipe.batch_size)
    except (ValueError, RuntimeError) as error:
        raise InputError(str(error)) from error
    return model


def _build_logger(name: LoggerName, path: Path) -> Logger | Literal[False]:
    """The logger beside the curve.

    Raises:
        InputError: If its package is missing.
    """
    if name not in LOGGERS:
        raise InputError(f"--logger {name} is not known; use {', '.join(LOGGERS)}.")
    if name == "csv":
        return False
    if importlib.util.find_spec(name) is None:
        raise InputError(f"--logger {name} needs a package that is missing: pip install {name}")
    from pytorch_lightning import loggers

    if name == "tensorboard":
        return loggers.TensorBoardLogger(path, name="", version="tensorboard")
    return loggers.WandbLogger(name=path.name, save_dir=path)


def _describe_training(recipe: Recipe, command: str) -> list[str]:
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return [
        f"model     {recipe.method}, {recipe.backbone}, head {recipe.head}",
        f"recipe    {recipe.epochs} epochs of batches of {recipe.batch_size}, {recipe.optimizer} "
        f"at {recipe.learning_rate:g}",
        f"machine   {accelerator}, {os.cpu_count()} cores, threads of torch: "
        f"{torch.get_num_threads()}, precision {recipe.precision}, worker processes: "
        f"{recipe.workers}",
        f"repeat    {command}",
    ]


def _config(
    recipe: Recipe,
    model: Method,
    pictures: Pictures,
    preprocessing: Preprocessing,
    command: str,
) -> RunConfig:
    classes = pictures.classes
    return RunConfig(
        format=FORMAT,
        df_heads=df_heads.__version__,
        method=recipe.method,
        method_options=method_class(recipe.method).short_run_options(recipe.batch_size),
        backbone=BackboneConfig(
            name=recipe.backbone, image_size=recipe.image_size, options={"stem": recipe.stem}
        ),
        head=describe_head(model.projection_head, recipe.head),
        preprocessing=preprocessing,
        images=ImagesConfig(
            folder=str(pictures.found.folder),
            count=len(pictures.images),
            classes=None if classes is None else list(classes),
            held_out=int(pictures.held_out.sum()),
            fingerprint=pictures.fingerprint,
        ),
        recipe=dataclasses.asdict(recipe),
        finished=False,
        command=command,
    )
