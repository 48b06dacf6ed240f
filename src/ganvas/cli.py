"""Command line, which parses arguments, calls `api` and prints results.

Arguments and flags come from the config of each command.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import inspect
import io
import json
import logging
import os
import select
import stat
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import tyro

from ganvas.data.config import idle_data_settings
from ganvas.errors import ConfigError, GanvasError, InputError, PolicyRefusal
from ganvas.filesystem.paths import cache_folder
from ganvas.flags import config_registry
from ganvas.hardware.threads import let_waiting_threads_sleep
from ganvas.methods.config import idle_settings
from ganvas.recipes import recipe_summary, recipes
from ganvas.terminal import CRASH_EXIT_CODE, as_interrupts, one_line, printable, report_crash
from ganvas.training.config import RunConfig, idle_training_settings

VERBS = {
    "demo": ("demo", "run the whole workflow on sample photographs and write a report"),
    "locate": ("locate", "locate what a classifier responds to, or what detectors find"),
    "prepare": ("prepare", "create training pairs from photographs"),
    "recipes": ("list_recipes", "list the training recipes and when to choose each"),
    "train": ("train", "train a translation model by recipe"),
    "resume": ("resume", "resume an interrupted training run"),
    "translate": ("translate", "apply a trained run to pictures and films"),
    "sample": ("sample", "sample pictures from noise with a trained run"),
    "evaluate": ("evaluate", "measure a trained run on pairs, or a translated film"),
    "compare": ("compare", "train several methods under one budget and compare them"),
    "benchmark": ("benchmark", "measure super-resolution runs on standard sets of pictures"),
    "audit": ("audit", "measure how much covers hide from attacks and retrained classifiers"),
    "redact": ("redact", "cover regions of pictures and films, and verify the result"),
    "export": ("export", "export a trained run: ONNX, torch.export, OpenVINO, Hugging Face, web page"),
    "push": ("push", "upload a trained run to the Hugging Face Hub"),
    "import": ("import_reference", "import a model of another project (ESRGAN, NAFNet, pix2pix, ...) as a run"),
    "density": ("density", "study the ideas behind the methods on toy densities"),
    "doctor": ("doctor", "report the speed of this machine, missing packages, and training times"),
    "studio": ("studio", "open a local web page to redact, translate and monitor training"),
}
"""Verb -> (function of `api` or of its own package, one line of help)."""
HOMES = {"recipes": "ganvas.catalog", "studio": "ganvas.studio"}
"""Verb -> module of its function, where that is not `ganvas.api`."""
EXIT_CODES = {
    0: "done",
    1: "the Ray cluster or one of its workers failed",
    2: "input or setting",
    3: "refused by the content gate",
    4: "training diverged",
    5: "some of many files failed",
    6: "missing package, or an export that differs from its run",
    7: "missing weights, or the Hub cannot be reached",
    70: "unexpected error: a bug, please report it",
    130: "interrupted",
}
"""Exit code -> its meaning, for the help; `ganvas.errors` has the classes."""
FIRST_STAGES = {"SRGANConfig": "srresnet or srresnet_modern", "RealESRGANConfig": "real_restoration_l1"}
"""Config of an adversarial method -> the recipes whose run it starts from."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see `ganvas.errors`)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    verb = words[0] if words else ""
    _open_closed_streams()
    let_waiting_threads_sleep()
    try:
        with _plain_warnings(verb):
            return _run(words)
    except KeyboardInterrupt:
        _complain(verb, "interrupted")
        return 130
    except Exception as error:  # noqa: BLE001 - no traceback reaches the terminal
        if isinstance(error.__cause__, KeyboardInterrupt):  # Python 3.11 wraps an interrupt inside a class statement
            _complain(verb, "interrupted")
            return 130
        print(report_crash(words, error, cache_folder=cache_folder), file=sys.stderr)
        return CRASH_EXIT_CODE


def _open_closed_streams() -> None:
    """Reopen standard output or error on the null device if the caller closed it (`ganvas ... >&-`)."""
    if sys.stdout is None:
        sys.stdout = io.StringIO()
    if sys.stderr is None:
        sys.stderr = io.StringIO()


def _run(words: Sequence[str]) -> int:
    """Run a verb, print what it returns, and return its exit code."""
    try:
        return _answer(words)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            _discard_output()
            return 0
        _complain(words[0] if words else "", _system_error(error))
        return InputError.exit_code


def _answer(words: Sequence[str]) -> int:
    """Run a verb without handling errors; system errors on files and on standard output propagate."""
    if not words or words[0] in ("-h", "--help"):
        _print(f"{usage()}\n")
        return 0 if words else 2
    if words[0] == "--version":
        _print(f"ganvas {importlib.import_module('ganvas').__version__}\n")
        return 0
    try:
        with as_interrupts():
            result = _call(words[0], list(words[1:]))
        # Under torchrun, only the first process prints.
        shown = "" if result is None or int(os.environ.get("RANK", "0")) > 0 else f"{result}\n"
    except PolicyRefusal as refusal:
        _print(json.dumps(refusal.as_record()) + "\n")
        return refusal.exit_code
    except GanvasError as error:
        _complain(words[0], str(error))
        return error.exit_code
    _print(shown)
    return int(getattr(result, "exit_code", 0))


def _print(text: str) -> None:
    """Print to standard output; a closed pipe (`ganvas ... | head`) is not an error.

    Raises:
        OSError: the device behind it is full.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name may contain characters that the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        print(printable(text), end="", flush=True)
    except BrokenPipeError:
        _discard_output()
    except OSError as error:
        _discard_output()
        error.filename = "standard output"
        raise


def _discard_output() -> None:
    """Redirect standard output to the null device, so that Python's final flush does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reader_is_gone() -> bool:
    """Return whether standard output is a pipe without a reader (`ganvas train --help | head`)."""
    if not hasattr(select, "poll"):  # Windows
        return False
    poller = select.poll()
    poller.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poller.poll(0))


def _complain(verb: str, problem: str) -> None:
    name = f"ganvas {one_line(verb)}" if verb else "ganvas"
    with suppress(OSError):  # a full disk behind standard error must not change the exit code
        print(f"{name}: {printable(problem)}", file=sys.stderr, flush=True)


@contextmanager
def _plain_warnings(verb: str) -> Iterator[None]:
    """Show warnings as sentences, without file and line; silence the log lines of other packages."""
    root, silence = logging.getLogger(), logging.NullHandler()
    root.addHandler(silence)  # without a handler, Python prints warnings and errors that packages log
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # floating-point warnings of other packages
            warnings.showwarning = lambda message, *_where, **_more: _complain(verb, str(message))
            yield
    finally:
        root.removeHandler(silence)


def _system_error(error: OSError) -> str:
    """Return the system's error message about a file, with a remedy."""
    where = f"{error.filename}: " if error.filename else ""
    if isinstance(error, FileExistsError):
        return f"{where}this name is taken; choose another one, or remove what has it"
    return f"{where}{error.strerror or error}; check the path, its permissions and the free space on the disk"


def usage() -> str:
    """Return the text of `ganvas --help`."""
    verbs = "\n".join(f"  {verb:<10} {summary}" for verb, (_, summary) in VERBS.items())
    codes = "\n".join(f"  {code:<10} {meaning}" for code, meaning in EXIT_CODES.items())
    return f"usage: ganvas VERB ...\n\n{verbs}\n\n`ganvas VERB --help` lists the settings.\n\nExit codes:\n{codes}"


def _call(verb: str, words: list[str]) -> Any:
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        raise ConfigError(f"unknown verb {verb!r}" + (f"; did you mean {near[0]!r}?" if near else f"\n{usage()}"))
    _refuse_devices(words)
    if verb == "train":
        return _train(words)
    api, name = importlib.import_module("ganvas.api"), VERBS[verb][0]
    function = getattr(importlib.import_module(HOMES.get(verb, "ganvas.api")), name)
    description = (inspect.getdoc(function) or "").partition("\n\nArgs:")[0]
    _refuse_out_flag(verb, api.CONFIGS[name], words)
    registry = config_registry(api.field_docs, unchecked=api.CONFIGS[name])
    settings: Any = tyro.cli(
        api.CONFIGS[name], prog=f"ganvas {verb}", description=description, args=words, registry=registry
    )
    return function(**settings)


def _refuse_out_flag(verb: str, config: type[Any], words: Sequence[str]) -> None:
    """Refuse `--out` for a verb whose output is an argument without a flag.

    Raises:
        ConfigError: `--out` is given.
    """
    arguments = [field.name.upper() for field in fields(config) if not field.kw_only]
    flags = {word.partition("=")[0] for word in words}
    if "OUT" in arguments and "--out" in flags and not {"-h", "--help"} & flags:
        raise ConfigError(f"OUT has no flag here: ganvas {verb} {' '.join(arguments)}")


def _refuse_devices(words: list[str]) -> None:
    """Refuse arguments that name a device, pipe or socket, which may never end, or a link to itself.

    Raises:
        InputError: an argument names one.
    """
    for word in words:
        path = Path(word.partition("=")[2] if word.startswith("--") else word)
        try:
            kind = path.stat().st_mode
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.ELOOP:
                raise InputError(f"{path}: a link to itself; pass its intended target") from error
            continue  # not a file, or one that the verb itself reports
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise InputError(f"{path}: a device, pipe or socket; pass a file or folder instead")


@dataclass(frozen=True, kw_only=True)
class TrainCommand:
    """Train a translation model by recipe; every setting of the recipe can be changed."""

    out: Path
    """Run folder to create."""
    config: RunConfig
    """Settings of the run."""


def _train(words: list[str]) -> Any:
    known = recipes()
    width = max(map(len, known))
    names = "\n".join(f"  {name:<{width}} {recipe_summary(recipe)}" for name, recipe in known.items())
    if not words or words[0] in ("-h", "--help"):
        print(f"usage: ganvas train RECIPE --data DIR --out RUN [settings]\n\n{names}\n\n"
              "`ganvas train RECIPE --help` lists the settings.")  # fmt: skip
        return None
    if words[0] not in known:
        raise ConfigError(f"unknown recipe {words[0]!r}; recipes:\n{names}")
    command = parse_train(words[0], words[1:])
    for remark in remarks(command.config, known[words[0]]()):
        warnings.warn(remark, stacklevel=2)
    return importlib.import_module("ganvas.api").train(command.config, command.out)


def parse_train(name: str, words: list[str]) -> TrainCommand:
    """Parse the arguments after the recipe's name into a run. Flags are the names of the fields, without prefixes."""
    recipe = recipes()[name]
    command = tyro.cli(
        TrainCommand,
        prog=f"ganvas train {name}",
        description=recipe_summary(recipe),
        args=words,
        default=TrainCommand(out=tyro.MISSING, config=recipe()),
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.AvoidSubcommands),
        registry=config_registry(importlib.import_module("ganvas.api").field_docs),
    )
    return replace(command, out=Path(command.out))


def remarks(config: RunConfig, recipe: RunConfig) -> list[str]:
    """Return what the user may not expect: given settings without effect, and a missing starting point."""
    found = list[str]()
    for part, idle in (
        ("method", idle_settings(config.method)),
        ("data", idle_data_settings(config.data)),
        ("training", idle_training_settings(config.training)),
    ):
        own, usual = getattr(config, part), getattr(recipe, part)
        given = sorted(name for name in idle if getattr(own, name) != getattr(usual, name, None))
        found += [f"--{name.replace('_', '-')} has no effect with {idle[name]}" for name in given]
    first = FIRST_STAGES.get(type(config.method).__name__)
    if first and config.training.start_from is None:
        found.append(
            f"the generator starts from random weights; the papers start from a run of {first}: give --start-from RUN"
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
