"""Training loop, from a config to a trained run."""

from __future__ import annotations

import signal
import threading
import warnings
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from ganvas.data.loader import Prefetched
from ganvas.errors import ConfigError, RunError
from ganvas.hardware.precision import choose_precision
from ganvas.hardware.processor import OtherLoad
from ganvas.hardware.threads import StepThreads, given_threads, thread_counts
from ganvas.methods.base import Batch, Method, Progress
from ganvas.methods.registry import build, method_type
from ganvas.runs.checkpoint import STATE_NAME, Counters, read_checkpoint
from ganvas.runs.folder import check_folder, lock_run, mark_unsaved, truncate_metrics
from ganvas.runs.record import RECORD_NAME, RunRecord, check_picture_types, read_run_record, write_run_record
from ganvas.runs.snapshots import find_snapshot, load_weights, read_snapshot, snapshot_path
from ganvas.serialization import to_record
from ganvas.training.config import RunConfig, TrainingConfig, check_same_settings
from ganvas.training.distributed import Processes, join, warn_of_batch_norm
from ganvas.training.ema import Average
from ganvas.training.monitoring import LossMeter, Metrics, Report, TrainingResult, check_tensorboard
from ganvas.training.performance.compilation import place, tuned
from ganvas.training.performance.cuda_graph import CapturedStep, Step, check_capture
from ganvas.training.performance.memory import memory_kept
from ganvas.training.pictures import Pictures, open_pictures
from ganvas.training.schedule import Budget, Clock, num_images, step_seed
from ganvas.training.session import Session
from ganvas.training.state import TrainingState, read_config
from ganvas.training.step import make_optimizers, set_rate, take_turns


class Interrupts:
    """Handler of SIGINT and SIGTERM: the first sets `requested`, so that the step is finished; a second one ends.

    It does nothing outside the main thread.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.requested = True
        self._restore(number)

    def _restore(self, number: int) -> None:
        if number in self._before:
            signal.signal(number, self._before.pop(number))

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number in list(self._before):
            self._restore(number)


def train(config: RunConfig, out: Path, *, resume: bool = False, quiet: bool = False) -> TrainingResult:
    """Train a run from start to end, or resume one.

    Args:
        config: method, data and training.
        out: the run folder (`ganvas.runs.folder` says what it holds).
        resume: resume the run in `out`, or start it if nothing was saved yet. On the CPU the result is bitwise equal
            to that of an uninterrupted run, if both compute with the same number of threads.
        quiet: show nothing.

    Raises:
        RunError: `out` holds something already, is in use, or holds a run with other settings.
        DataError, ImageError, ConfigError: the pictures or the settings do not fit, or not what `out` was trained on;
            bfloat16 is asked for where it is not fast.
        PolicyRefusal: too many training pictures were refused.
        DivergenceError: a loss or weight became NaN or infinite; the last good state is kept.
    """
    with ExitStack() as stack:
        # Join the processes first: the batch, the precision and the folder's lock depend on them
        config, processes = join_processes(config, out, stack)
        settings = config.training
        if processes.first:
            stack.enter_context(lock_run(out))
            check_run(config, out, resume=resume)

        # Data before networks: its channels and value range shape them; then load the last checkpoint, if any
        pictures = open_pictures(config, processes, out, quiet=quiet)
        session = open_session(config, out, processes, pictures, stack, quiet=quiet)
        state, interrupts = session.state, stack.enter_context(Interrupts())
        take_step, threads = open_step(state, config, processes, stack), open_threads(settings, processes, stack)
        batches = stack.enter_context(Prefetched(pictures.loader, enabled=processes.device.type == "cuda"))
        stopped, _ = session.tick(interrupted=False)
        if session.evaluation_due:  # it failed after the first checkpoint was saved for it
            session.evaluate(session.images_seen - settings.batch_size, last=stopped is not None)
            session.checkpoint()

        while stopped is None:
            # Seed by the clock, so that a resumed run draws the same noise without stored generator states
            torch.manual_seed(step_seed(settings.seed, session.images_seen, processes.rank))
            with threads.step():
                batch = batches.batch(session.images_seen)

                # Each player's turn: forward, backward, update
                set_rate(state.optimizers, session.rate)
                losses = take_step(batch, Progress(session.images_seen, session.step))

            # Advance the clock, the moving average and the running means; processes agree on when to stop
            before = session.images_seen
            session.images_seen, session.step = before + settings.batch_size, session.step + 1
            state.average.update(images=settings.batch_size, images_seen=session.images_seen)
            state.meter.add(losses)
            session.budget.took_step(threads.last)
            stopped, late = session.tick(interrupted=interrupts.requested)

            # Write metrics, validation and previews; the checkpoint last, so that a crash loses none of them
            session.write_due(before, stopped, late=late)
            session.tell_speed(config, threads)
            session.show()
        return session.result(stopped)


def check_run(config: RunConfig, run: Path, *, resume: bool) -> None:
    """Check that `config` may be trained in the folder `run`.

    Raises:
        RunError: it holds other files and `resume` is off, or a run with other settings.
        InputError: training pictures and the run folder overlap.
    """
    check_folder(run, config.data, resume=resume)
    if resume and (run / RECORD_NAME).exists():
        check_same_settings(read_config(run), config, run)


def join_processes(config: RunConfig, run: Path, stack: ExitStack) -> tuple[RunConfig, Processes]:
    """Join the processes that train together, and return the config with its precision chosen.

    Raises:
        ConfigError: the device, the precision, the batch or a recorded step cannot be had.
        MissingDependency: TensorBoard is asked for and not installed.
    """
    if config.training.tensorboard:
        check_tensorboard()
    parts = {"batch_size": config.training.batch_size, "accumulate": config.training.accumulate}
    processes = stack.enter_context(join(config.training.device, **parts))
    if config.training.capture:
        check_capture(method_type(config.method), processes)
    return with_precision(config, processes, run), processes


def with_precision(config: RunConfig, processes: Processes, run: Path) -> RunConfig:
    """Return the run with the precision that is computed in: bfloat16 for `auto` where every process has it fast.

    A run's record holds the precision chosen, so that a resumption elsewhere does not change it silently.

    Raises:
        ConfigError: bfloat16 is asked for, and not fast here.
    """
    choice = config.training.precision
    (is_slow,) = processes.agree(choose_precision("auto", processes.device) == "float32")
    try:
        chosen = choose_precision("float32" if choice == "auto" and is_slow else choice, processes.device)
    except ConfigError as error:
        raise ConfigError(f"{run}: {error}") from None
    return replace(config, training=replace(config.training, precision=chosen))


def open_session(
    config: RunConfig, out: Path, processes: Processes, pictures: Pictures, stack: ExitStack, *, quiet: bool
) -> Session:
    """Build the run's state, bring it to the last checkpoint if there is one, and open what it writes to."""
    pictures_seen = pictures.loader.epoch_size
    total = num_images(config.training.epochs, pictures_seen)
    there = (out / STATE_NAME).exists()
    if there:
        check_picture_types(out, pictures.input_spec, pictures.output_spec)
    state = build_state(config, processes, pictures, fresh=not there)
    if processes.first and (untrained := state.method.left_untrained(total)):
        warnings.warn(untrained, stacklevel=2)
    counters, saved = Counters(pictures=pictures_seen), None
    if processes.agree(there) != (there,):
        raise RunError(f"process {processes.rank} does not see {out / STATE_NAME}; all must share the run folder")
    if there:
        checkpoint = read_checkpoint(out / STATE_NAME)
        state.restore(checkpoint, out / STATE_NAME)
        counters = checkpoint.counters
        saved = counters.images_seen
        if counters.pictures != pictures_seen:
            raise RunError(f"{out} was trained on {counters.pictures} pictures, the data now has {pictures_seen}")
    if processes.first:
        if not there:
            mark_unsaved(out)
        write_run_record(out, run_record(config, pictures, out))
        truncate_metrics(out, counters.images_seen, evaluation_due=counters.evaluation_due)
        if not counters.best:
            snapshot_path(out, "best").unlink(missing_ok=True)
    processes.broadcast(state.method)
    board = config.training.tensorboard and processes.first
    metrics = Metrics(out, tensorboard=board, images_seen=counters.images_seen) if processes.first else None
    report = Report(total, pictures_seen, quiet=quiet or not processes.first)
    return Session(
        run=out,
        settings=config.training,
        total=total,
        processes=processes,
        pictures=pictures,
        state=state,
        report=stack.enter_context(report),
        metrics=stack.enter_context(metrics) if metrics else None,
        clock=Clock(before=counters.seconds, images_at_start=counters.images_seen),
        budget=Budget(
            limit=None if config.training.minutes is None else 60 * config.training.minutes,
            batch_size=config.training.batch_size,
            validation_pictures=pictures.validation_count(config.training.validation_pictures),
            kept=counters.reserved,
        ),
        images_seen=counters.images_seen,
        step=counters.step,
        best=dict(counters.best),
        saved=saved,
        saved_at=counters.seconds,
        evaluation_due=counters.evaluation_due,
    )


def build_state(config: RunConfig, processes: Processes, pictures: Pictures, *, fresh: bool = True) -> TrainingState:
    """Return the untrained method on its device, its weights drawn from the seed, with optimizers and averages.

    Args:
        config: the run's.
        processes: that train together.
        pictures: to learn from.
        fresh: take the first weights of `start_from`, if it is given; of no use before a checkpoint is loaded.

    Raises:
        RunError: `start_from` is no run, or of other generators.
    """
    torch.manual_seed(config.training.seed)
    method: Method = build(
        config.method,
        input_channels=pictures.input_spec.channels,
        output_channels=pictures.output_spec.channels,
        image_size=config.data.crop_size,
    )
    if config.training.start_from is not None and fresh:
        snapshot = find_snapshot(config.training.start_from)
        load_weights(method, read_snapshot(snapshot)[0], source=snapshot)
    place(method, processes.device, config.training)
    parts = {"batch_size": config.training.batch_size, "accumulate": config.training.accumulate}
    warn_of_batch_norm(method, processes, **parts)
    optimizers = make_optimizers(method, config.training)
    return TrainingState(method, optimizers, Average(method, config.training.ema_half_life), LossMeter(processes))


def open_step(state: TrainingState, config: RunConfig, processes: Processes, stack: ExitStack) -> Step:
    """Return the training step, recorded where asked, on a machine tuned for it until the stack is left."""
    stack.enter_context(tuned(processes.device))
    stack.enter_context(memory_kept())

    def step(batch: Batch, progress: Progress) -> dict[str, Tensor]:
        method, optimizers, settings = state.method, state.optimizers, config.training
        return take_turns(method, optimizers, batch, progress, settings=settings, processes=processes)

    if not config.training.capture:
        return step
    return CapturedStep(step, state.tensors, clear=state.method.zero_grad)


def open_threads(settings: TrainingConfig, processes: Processes, stack: ExitStack) -> StepThreads:
    """Return the choice of CPU threads for the steps; torch's own number is put back when the stack is left.

    Nothing is chosen where a number is given, several processes wait for each other, networks are compiled for a
    number of threads, or a GPU computes.
    """
    before = torch.get_num_threads()
    stack.callback(torch.set_num_threads, before)
    given = settings.threads or given_threads()
    most = given or before
    free = given is None and processes.world == 1 and not settings.compile
    counts = thread_counts(most) if free and processes.device.type == "cpu" else (most,)
    others = OtherLoad()
    return StepThreads(counts, torch.set_num_threads, is_contended=lambda: others.leaves_no(most))


def run_record(config: RunConfig, pictures: Pictures, out: Path) -> RunRecord:
    """Return what `run.json` says; the time of the first start stays, unless all of that failed."""
    record = RunRecord(
        method=config.method,
        input=pictures.input_spec,
        output=pictures.output_spec,
        image_size=config.data.crop_size,
        data=config.data,
        training=to_record(config.training),
    )
    return replace(record, created=read_run_record(out).created) if (out / STATE_NAME).exists() else record
