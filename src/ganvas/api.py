"""Python functions of all commands, which the command line calls too.

One frozen dataclass, the config, defines each command; it is in the package of the command's component. Its fields are
the parameters of the function here and the arguments and flags of the command, and its checks apply to both. Modules
that need torch are imported when a command runs, so that printing the help is fast.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, get_type_hints

from ganvas.data.config import PrepareConfig
from ganvas.demonstration import DemoConfig
from ganvas.diagnosis import DoctorConfig
from ganvas.evaluation import BenchmarkConfig, ComparisonConfig, EvaluateConfig
from ganvas.filesystem.paths import ACCEPTED, as_paths
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.threads import using_threads
from ganvas.inference.config import Runtime, SampleConfig, TranslateConfig
from ganvas.interop import ImportConfig
from ganvas.interop.export.config import ExportConfig, PushConfig
from ganvas.localization import LocateConfig
from ganvas.methods.config import Direction
from ganvas.privacy_audit import AuditConfig
from ganvas.progress import progress_bars
from ganvas.redaction.config import RedactConfig
from ganvas.runs import SnapshotName
from ganvas.runs.hub import with_local_runs
from ganvas.serialization import field_docs
from ganvas.toy import DensityConfig
from ganvas.training.config import ResumeConfig

if TYPE_CHECKING:
    from ganvas.data.prepare import Prepared
    from ganvas.demonstration.run import DemoResult
    from ganvas.diagnosis.doctor import Diagnosis
    from ganvas.evaluation.comparison_result import Comparison
    from ganvas.evaluation.film_report import FilmEvaluation
    from ganvas.evaluation.report import Evaluation
    from ganvas.evaluation.super_resolution import SuperResolutionTable
    from ganvas.inference.folder import TranslationReport
    from ganvas.inference.sampling import SamplingReport
    from ganvas.inference.translator import Translator
    from ganvas.interop.export.export import Exported
    from ganvas.interop.export.push import Pushed
    from ganvas.interop.import_checkpoints import Imported
    from ganvas.privacy_audit.film_result import FilmAudit
    from ganvas.privacy_audit.report import Audit
    from ganvas.redaction.locate_film import Located
    from ganvas.redaction.redact_files import Redacted
    from ganvas.toy.study import Study
    from ganvas.training.config import RunConfig
    from ganvas.training.report import TrainingResult

__all__ = [
    "audit",
    "benchmark",
    "compare",
    "demo",
    "density",
    "doctor",
    "evaluate",
    "export",
    "import_reference",
    "load",
    "locate",
    "prepare",
    "push",
    "redact",
    "resume",
    "sample",
    "train",
    "translate",
]

P = ParamSpec("P")
C = TypeVar("C")
R = TypeVar("R")
CONFIGS: dict[str, type[Any]] = {}
"""Function of this module -> its config, from which the command line derives the flags."""


def command(config: Callable[P, C]) -> Callable[[Callable[[C], R]], Callable[P, R]]:
    """Return a decorator that replaces the parameter `config` by the fields of the config, with strings for paths."""
    assert isinstance(config, type)
    hints, signature = get_type_hints(config), inspect.signature(config)
    fields = signature.parameters.items()
    accepted = [one.replace(annotation=ACCEPTED.get(hints[name], one.annotation)) for name, one in fields]

    def decorate(run: Callable[[C], R]) -> Callable[P, R]:
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError as error:
                raise TypeError(f"{run.__name__}(): {error}") from None
            return run(with_local_runs(config(**{key: as_paths(value, hints[key]) for key, value in given.items()})))

        CONFIGS[run.__name__] = config
        call.__name__, call.__qualname__, call.__module__ = run.__name__, run.__qualname__, run.__module__
        docs = (f"{name}: {text}" for name, text in field_docs(config).items())
        arguments = "\n".join(fill(doc, 112, initial_indent=" " * 4, subsequent_indent=" " * 8) for doc in docs)
        call.__doc__ = f"{inspect.getdoc(run)}\n\nArgs:\n{arguments}\n"
        returned = inspect.signature(run).return_annotation
        call.__signature__ = signature.replace(parameters=accepted, return_annotation=returned)  # type: ignore[attr-defined]
        return call

    return decorate


@command(LocateConfig)
def locate(config: LocateConfig) -> Located:
    """Locate what a classifier responds to, or what detectors find, in photographs and films.

    Writes an overlay of each file and the boxes as JSON: one record for all photographs, and one line per frame for
    each film.
    """
    from ganvas.redaction.locate_film import locate_all

    with using_threads(config.threads), progress_bars() as progress:
        return locate_all(config, progress=progress)


@command(PrepareConfig)
def prepare(config: PrepareConfig) -> Prepared:
    """Create training pairs from photographs: OUT/train/a and b, val, test, and a manifest.

    Near-duplicates stay in one split. The same command resumes after an interruption.
    """
    from ganvas.data.prepare import prepare_pairs

    with using_threads(config.threads), progress_bars() as progress:
        return prepare_pairs(config, progress=progress)


@command(RedactConfig)
def redact(config: RedactConfig) -> Redacted:
    """Cover regions of pictures and films, verify them, and widen them until nothing is recognized or detected.

    No other property is verified: look at the results before you release them. A log has one line per file.
    """
    from ganvas.redaction.redact_files import redact_files

    with using_threads(config.threads), progress_bars() as progress:
        return redact_files(config, progress=progress)


def train(config: RunConfig, out: Path | str, /) -> TrainingResult:
    """Train a run into the folder `out`.

    Args:
        config: method, data and training; see `ganvas.recipes` for complete ones.
        out: the run folder to create.

    Raises:
        GanvasError: see `ganvas.training.loop.train`.
    """
    from ganvas.training.loop import train as train_run

    config = replace(config, training=with_local_runs(config.training))
    with using_threads(config.training.threads):
        return train_run(config, Path(out))


@command(ResumeConfig)
def resume(config: ResumeConfig) -> TrainingResult:
    """Resume an interrupted run; the result equals that of an uninterrupted run unless a setting is changed."""
    from ganvas.training.loop import train as train_run
    from ganvas.training.state import read_config

    run = config.applied_to(read_config(config.run))
    with using_threads(run.training.threads):
        return train_run(run, config.run, resume=True)


@command(TranslateConfig)
def translate(config: TranslateConfig) -> TranslationReport:
    """Apply a trained run to a picture, a film or a folder of both; the results are labeled as synthetic.

    Names, sizes and formats are preserved; of films also sound, subtitles, metadata and timestamps.
    """
    from ganvas.content_gate import loading_scorer

    with using_threads(config.threads), loading_scorer():  # while torch is imported and the run is loaded
        from ganvas.inference.folder import translate_files
        from ganvas.interop.export.cached import runtime_choice

        return translate_files(
            config.run, config.source, config.out, mask=config.mask, tile=config.tile, overlap=config.overlap,
            suffix=config.suffix, recursive=config.recursive, snapshot=config.snapshot, device=config.device,
            seed=config.seed, precision=config.precision, direction=config.direction, film=config.film,
            runtime=runtime_choice(config.runtime), backend=config.backend, workers=config.workers,
        )  # fmt: skip


@command(SampleConfig)
def sample(config: SampleConfig) -> SamplingReport:
    """Sample pictures from noise with a trained run that supports it: VAE, VAE/GAN, CoGAN, UNIT, conditioned GAN."""
    from ganvas.inference.sampling import sample_files

    with using_threads(config.threads):
        return sample_files(config)


@command(EvaluateConfig)
def evaluate(config: EvaluateConfig) -> Evaluation | FilmEvaluation:
    """Measure a trained run on pairs: PSNR, SSIM, MS-SSIM and L1 as a table, as JSON and as a report.

    A film is compared with its ground truth frame by frame, with LPIPS and flicker: FILM --data TRUTH --input FILM.
    """
    with using_threads(config.threads):
        if config.run.is_file() and config.run.suffix.lower() != ".onnx":
            from ganvas.evaluation.films import evaluate_films

            return evaluate_films(config)
        from ganvas.evaluation.evaluate import evaluate_run

        return evaluate_run(config)


@command(ComparisonConfig)
def compare(config: ComparisonConfig) -> Comparison:
    """Train several recipes under the same budget on the same data, and compare them.

    Writes report.html, comparison.json and grid.png; the runs are in OUT/runs. The same command resumes.
    """
    from ganvas.evaluation.compare import compare as compare_methods

    with using_threads(config.threads):
        return compare_methods(config)


@command(BenchmarkConfig)
def benchmark(config: BenchmarkConfig) -> SuperResolutionTable:
    """Measure super-resolution runs on standard sets of pictures, beside interpolation baselines."""
    from ganvas.evaluation.super_resolution import benchmark_super_resolution

    with using_threads(config.threads):
        return benchmark_super_resolution(config)


@command(AuditConfig)
def audit(config: AuditConfig) -> Audit | FilmAudit:
    """Measure how much covers hide: what attacks recover, and what retrained classifiers still recognize.

    Writes report.html, audit.json and, for pictures, grid.png. For a film: what registered and fused frames recover
    under mosaics whose grid is fixed to the screen or anchored to the region. Use ordinary pictures and films: every
    picture and frame passes the content gate.
    """
    with using_threads(config.threads):
        if config.folder.is_file():
            from ganvas.privacy_audit.film import audit_film

            return audit_film(config)
        from ganvas.privacy_audit.audit import audit as audit_covers

        return audit_covers(config)


@command(ExportConfig)
def export(config: ExportConfig) -> Exported:
    """Export a trained run for other programs: [0, 1] in, [0, 1] out, any size, verified before it is written.

    Needs the extra `export` (onnxscript and openvino). Writes a report beside the file. The file has no content gate.
    """
    from ganvas.interop.export.export import export_run

    with using_threads(config.threads):
        return export_run(config)


@command(PushConfig)
def push(config: PushConfig) -> Pushed:
    """Upload a run to the Hugging Face Hub: private unless --public, verified, with a model card.

    Needs the extra `hub`, and a token (`hf auth login`). --dry-run only lists what would be uploaded.
    """
    from ganvas.interop.export.push import push_run

    with using_threads(config.threads):
        return push_run(config)


@command(ImportConfig)
def import_reference(config: ImportConfig) -> Imported:
    """Import a model of another project (ESRGAN, Compact, NAFNet, pix2pix, CycleGAN, CUT) into a run folder."""
    from ganvas.interop.import_checkpoints import import_checkpoints

    return import_checkpoints(config)


@command(DensityConfig)
def density(config: DensityConfig) -> Study:
    """Study the ideas behind the methods on densities with known answers; write a plot and its numbers.

    Requires matplotlib. The experiments: `sample`, sampling from a density by its inverse CDF; `likelihood`, maximum
    likelihood as minimum KL divergence; `gan`, a GAN, a Wasserstein GAN and a conditional GAN; `collapse`, the effect
    of the cycle term on mode collapse; `dual`, dual learning with two translators.
    """
    from ganvas.toy.study import study

    with using_threads(config.threads), progress_bars() as progress:
        return study(config, progress=progress)


@command(DemoConfig)
def demo(config: DemoConfig) -> DemoResult:
    """Run the whole workflow on packaged photographs: locate, cover, train to restore, measure.

    Requires the extra `demo` (scikit-image and scikit-learn, for their photographs). Writes report.html and
    metrics.json.
    """
    from ganvas.demonstration.run import run_demo

    with using_threads(config.threads):
        return run_demo(config)


@command(DoctorConfig)
def doctor(config: DoctorConfig) -> Diagnosis:
    """Report the speed of this machine, missing packages and weights, and how long recipes take.

    Downloads nothing.
    """
    from ganvas.diagnosis.doctor import diagnose

    with using_threads(config.threads):
        return diagnose(config)


def load(
    run: Path | str, *, snapshot: SnapshotName | Path = "auto", device: str = "auto", seed: int = 0,
    precision: PrecisionChoice = "float32", direction: Direction = "a_to_b", runtime: Runtime = "auto",
) -> Translator:  # fmt: skip
    """Load a trained run as a callable from picture to picture; the arguments are those of `Translator.load`.

    The run is a folder, `hf://user/name[@revision]` on the Hugging Face Hub, or an ONNX file. The runtime is torch,
    onnxruntime or openvino; the last two run an export of the run.
    """
    from ganvas.inference.translator import Translator
    from ganvas.interop.export.cached import runtime_choice

    return Translator.load(
        run, snapshot=snapshot, device=device, seed=seed, precision=precision, direction=direction,
        runtime=runtime_choice(runtime),
    )  # fmt: skip
