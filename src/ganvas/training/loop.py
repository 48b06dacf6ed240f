"""Training loop, from a config to a trained run."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from ganvas.data.loader import Prefetched
from ganvas.errors import ConfigError
from ganvas.hardware.device import choose_precision
from ganvas.hardware.threads import OtherLoad, StepThreads, given_threads, thread_counts
from ganvas.methods.base import Batch, Progress, method_type
from ganvas.runs.folder import STATE_NAME, check_folder, lock_run, mark_unsaved, truncate_metrics
from ganvas.runs.published import RECORD_NAME
from ganvas.runs.record import RunRecord, read_run_record, snapshot_path, write_run_record
from ganvas.serialization import to_record
from ganvas.training.config import RunConfig, TrainingConfig, check_same_settings, require_data
from ganvas.training.dataset import Dataset, open_dataset
from ganvas.training.distributed import Processes, join
from ganvas.training.monitoring import Metrics, Monitor, check_tensorboard
from ganvas.training.observers import Observers
from ganvas.training.performance import CapturedStep, Step, check_capture, memory_kept, tuned
from ganvas.training.report import Report, TrainingResult
from ganvas.training.schedule import Budget, Schedule, Stopped, num_images, step_seed
from ganvas.training.state import TrainingState, open_state, read_config
from ganvas.training.step import set_rate, take_turns


class Interrupts:
    """Handler of SIGINT and SIGTERM: the first sets `requested`, so that the step is finished; the second kills.

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
    """Train a run, or resume one.

    Args:
        config: method, data and training.
        out: the run folder; `ganvas.runs.folder` describes its files.
        resume: resume the run in `out`, or start it if nothing was saved yet. On the CPU the result is bitwise equal to
            that of an uninterrupted run if both use the same number of threads.
        quiet: show nothing.

    Raises:
        RunError: `out` contains other files or a run with other settings, or is in use.
        DataError, ImageError, ConfigError: the pictures or settings do not match each other or the run in `out`, or
            bfloat16 is required but not fast.
        PolicyRefusal: too many training pictures were refused.
        DivergenceError: a loss or weight became NaN or infinite; the last good state is kept.
    """
    with ExitStack() as stack:
        # Join processes first: the share of the batch, the precision and the writer of the folder depend on them
        config, processes = join_processes(config, out, stack)
        if processes.first:
            stack.enter_context(lock_run(out))
            check_run(config, out, resume=resume)

        # Open data before networks, whose channels depend on it; weights come from the seed or the last checkpoint
        dataset = open_dataset(config, processes, out, quiet=quiet)
        state = open_state(config, out, dataset, processes)
        observers = open_observers(config, out, dataset, state, processes, stack, quiet=quiet)
        clock, schedule = state.clock, observers.schedule

        # Prefetch batches for a GPU in another thread; measure the fastest number of CPU threads during the steps
        take_step, threads = open_step(state, config, processes, stack), open_threads(config.training, processes, stack)
        batches = stack.enter_context(Prefetched(dataset.loader, enabled=processes.device.type == "cuda"))
        interrupts = stack.enter_context(Interrupts())

        # A finished run ends here; an evaluation that failed after the last checkpoint is repeated
        stopped, _ = agree_to_stop(observers, interrupted=False)
        observers.repeat_evaluation(last=stopped is not None)

        while stopped is None:
            # Seed by the clock, so that a resumed run draws the same noise without stored generator states
            torch.manual_seed(step_seed(config.training.seed, clock.images_seen, processes.rank))
            with threads.step():
                batch = batches.batch(clock.images_seen)

                # Each player's turn: forward, backward, update
                set_rate(state.optimizers, schedule.learning_rate(clock.images_seen))
                losses = take_step(batch, Progress(clock.images_seen, clock.step))

            # Advance clock, moving average and running means; processes agree to stop, or some would wait forever
            clock.advance(config.training.batch_size)
            state.average.update(images=config.training.batch_size, images_seen=clock.images_seen)
            state.meter.add(losses)
            schedule.budget.took_step(threads.last)
            stopped, is_late = agree_to_stop(observers, interrupted=interrupts.requested)

            # Write metrics, validation and previews, and the checkpoint last: a crash repeats all that may be lost
            observers.after_step(stopped, checkpoint_is_late=is_late)
            observers.show(threads)
        return observers.result(stopped)


def check_run(config: RunConfig, run: Path, *, resume: bool) -> None:
    """Check that `config` may be trained in the folder `run`.

    Raises:
        RunError: the folder contains other files and `resume` is False, or a run with other settings.
        InputError: training pictures and the run folder overlap.
        DataError: the data of a run that is resumed were moved.
    """
    check_folder(run, config.data, resume=resume)
    if resume and (run / RECORD_NAME).exists():
        check_same_settings(read_config(run), config, run)
        require_data(config, run)


def join_processes(config: RunConfig, run: Path, stack: ExitStack) -> tuple[RunConfig, Processes]:
    """Join the processes that train together, and return the config with its precision chosen.

    Raises:
        ConfigError: the device, the precision, the batch size or CUDA-graph capture is not available.
        MissingDependency: TensorBoard is enabled but not installed.
    """
    if config.training.tensorboard:
        check_tensorboard()
    parts = {"batch_size": config.training.batch_size, "accumulate": config.training.accumulate}
    processes = stack.enter_context(join(config.training.device, **parts))
    if config.training.capture:
        check_capture(method_type(config.method), processes)
    return with_precision(config, processes, run), processes


def with_precision(config: RunConfig, processes: Processes, run: Path) -> RunConfig:
    """Return the config with `auto` resolved: bfloat16 where it is fast in every process, else float32.

    The record of the run contains the resolved precision, so that resuming on another machine does not change it
    silently.

    Raises:
        ConfigError: bfloat16 is required but not fast.
    """
    choice = config.training.precision
    (is_slow,) = processes.agree(choose_precision("auto", processes.device) == "float32")
    try:
        chosen = choose_precision("float32" if choice == "auto" and is_slow else choice, processes.device)
    except ConfigError as error:
        raise ConfigError(f"{run}: {error}") from None
    return replace(config, training=replace(config.training, precision=chosen))


def open_observers(
    config: RunConfig,
    run: Path,
    dataset: Dataset,
    state: TrainingState,
    processes: Processes,
    stack: ExitStack,
    *,
    quiet: bool,
) -> Observers:
    """Open the metrics files and the display, and write the record of the run."""
    settings, epoch_size, images_seen = config.training, dataset.loader.epoch_size, state.clock.images_seen
    if processes.first:
        if state.saved_images is None:
            mark_unsaved(run)
        write_run_record(run, run_record(config, dataset, run))
        # Remove rows after the checkpoint, because resuming repeats those steps
        truncate_metrics(run, images_seen, evaluation_due=state.evaluation_due)
        if not state.best:
            snapshot_path(run, "best").unlink(missing_ok=True)
    budget = Budget(
        limit=None if settings.minutes is None else 60 * settings.minutes,
        batch_size=settings.batch_size,
        validation_pictures=dataset.validation_count(settings.validation_pictures),
        kept=state.reserved_seconds,
    )
    schedule = Schedule(settings, num_images(settings.epochs, epoch_size), budget)
    report = stack.enter_context(Report(schedule.total, epoch_size, quiet=quiet or not processes.first))
    monitor = Monitor(report)
    if processes.first:
        metrics = Metrics(run, tensorboard=settings.tensorboard, images_seen=images_seen)
        monitor = Monitor(report, stack.enter_context(metrics))
    return Observers(
        run=run, config=config, processes=processes, dataset=dataset, state=state, schedule=schedule, monitor=monitor
    )


def agree_to_stop(observers: Observers, *, interrupted: bool) -> tuple[Stopped | None, bool]:
    """Return the reason to stop now, if any, and whether a checkpoint is due by time; all processes agree."""
    state, schedule = observers.state, observers.schedule
    seconds = state.clock.seconds
    is_over = schedule.budget.is_over(seconds)
    is_late = seconds - state.saved_seconds >= 60 * schedule.settings.checkpoint_minutes
    interrupted, is_over, is_late = observers.processes.agree(interrupted, is_over, is_late)
    if state.clock.images_seen >= schedule.total:
        return "done", is_late
    return "interrupted" if interrupted else "minutes" if is_over else None, is_late


def open_step(state: TrainingState, config: RunConfig, processes: Processes, stack: ExitStack) -> Step:
    """Return the training step, captured as a CUDA graph if set; tune the process until the stack is closed."""
    stack.enter_context(tuned(processes.device))
    stack.enter_context(memory_kept())

    def step(batch: Batch, progress: Progress) -> dict[str, Tensor]:
        method, optimizers, settings = state.method, state.optimizers, config.training
        return take_turns(method, optimizers, batch, progress, settings=settings, processes=processes)

    if not config.training.capture:
        return step
    return CapturedStep(step, state.tensors, clear=state.method.zero_grad)


def open_threads(settings: TrainingConfig, processes: Processes, stack: ExitStack) -> StepThreads:
    """Return the automatic number of CPU threads for the steps; closing the stack restores torch's number.

    The number is automatic only on a CPU, in one process, if the user set none and nothing is compiled, since compiled
    code is for a fixed number.
    """
    before = torch.get_num_threads()
    stack.callback(torch.set_num_threads, before)
    given = settings.threads or given_threads()
    most = given or before
    free = given is None and processes.world == 1 and not settings.compile
    counts = thread_counts(most) if free and processes.device.type == "cpu" else (most,)
    others = OtherLoad()
    return StepThreads(counts, torch.set_num_threads, is_contended=lambda: others.leaves_no(most))


def run_record(config: RunConfig, dataset: Dataset, out: Path) -> RunRecord:
    """Return the content of `run.json`; resuming keeps the time of the first start."""
    config = config.with_absolute_paths()
    record = RunRecord(
        method=config.method,
        input=dataset.input_spec,
        output=dataset.output_spec,
        image_size=config.data.crop_size,
        data=config.data,
        training=to_record(config.training),
    )
    return replace(record, created=read_run_record(out).created) if (out / STATE_NAME).exists() else record
