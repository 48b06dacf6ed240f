"""Translation of the test pictures by a trained run, and its metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ganvas.content_gate import AdmittedPicture, admit
from ganvas.data.config import DataConfig
from ganvas.errors import PolicyRefusal, WeightsError
from ganvas.evaluation.comparison_plan import SIDES, Rgb, TestPictures, training_pictures
from ganvas.inference.adapt import unit_from_picture
from ganvas.inference.forward import translate_admitted
from ganvas.inference.translator import Translator
from ganvas.methods.config import OPPOSITE, Direction, Domain
from ganvas.metrics.distribution import (
    SUBSET_SIZE,
    Distance,
    FeatureStatistics,
    Moments,
    frechet_distance,
    kernel_distance,
)
from ganvas.metrics.features import (
    LPIPS,
    FeatureExtractor,
    efficientnet_features,
    inception_features,
    load_lpips,
    lpips_or_none,
)
from ganvas.metrics.fidelity import Measures, Summary, measure, psnr, summarize

LARGEST_PSNR = 100.0
"""Upper bound in dB, for exact round trips."""
Vectors = NDArray[np.float32]
"""(N, D)."""


@dataclass(frozen=True, eq=False)
class Features:
    """Features of a set of two or more pictures.

    Attributes:
        extractor: the network.
        vectors: (N, D).
        statistics: statistics of the vectors.
    """

    extractor: FeatureExtractor
    vectors: Vectors
    statistics: FeatureStatistics

    @classmethod
    def of(cls, extractor: FeatureExtractor, pictures: Sequence[Rgb]) -> Features:
        """Compute the features of the pictures."""
        vectors, moments = extractor.vectors(pictures), Moments(extractor.space)
        moments.add(vectors)
        return cls(extractor, vectors, moments.statistics())

    def distances(self, outputs: Sequence[Rgb]) -> list[Distance]:
        """Compute the Frechet and kernel distances to the generated pictures.

        The kernel distance's deviation over halves of the pictures is about its standard error (delete-half jackknife).
        """
        other = Features.of(self.extractor, outputs)
        half = max(min(len(outputs), len(self.vectors)) // 2, 2)
        space, size = self.extractor.space, min(half, SUBSET_SIZE)
        kernel = kernel_distance(other.vectors, self.vectors, space, subset_size=size)
        return [frechet_distance(other.statistics, self.statistics), kernel]


@dataclass(frozen=True, eq=False)
class MetricNetworks:
    """Networks of the metrics, and their features of the real pictures.

    Attributes:
        real: side -> features of its real pictures by each network; empty for a side with fewer than two.
        lpips: LPIPS; None if its weights are not on this machine.
    """

    real: dict[Domain, list[Features]]
    lpips: LPIPS | None

    def distances(self, outputs: Sequence[Rgb], side: Domain) -> list[Distance]:
        """Compute the distances to the real pictures of a side for each kind of features; empty under two pictures."""
        return [one for features in self.real[side] for one in features.distances(outputs)] if len(outputs) >= 2 else []


@dataclass(frozen=True)
class Translated:
    """The translations of one side.

    Attributes:
        outputs: name -> admitted translation.
        refused: name -> reason why the content gate refuses the translation.
        seconds: median time of the network per picture.
    """

    outputs: dict[str, AdmittedPicture]
    refused: dict[str, str]
    seconds: float

    def rgb(self) -> list[Rgb]:
        """Return all pictures as RGB, for a classifier."""
        return [one.picture.as_rgb8() for one in self.outputs.values()]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Metrics of a run.

    Attributes:
        translated: direction -> its outputs, for the directions of the run.
        scores: name -> metric -> value of the output with respect to its target; empty without pairs.
        returned: direction -> PSNR in dB of round trips with respect to the original, for methods with both directions.
        distances: direction -> distances from the outputs to the real pictures of that side.
    """

    translated: dict[Direction, Translated]
    scores: dict[str, Measures] = field(default_factory=dict)
    returned: dict[Direction, Summary] = field(default_factory=dict)
    distances: dict[Direction, list[Distance]] = field(default_factory=dict)

    @property
    def fidelity(self) -> dict[str, Summary]:
        """Return metric -> summary over all outputs; empty without pairs."""
        rows = list(self.scores.values())
        return {name: summarize([row[name] for row in rows]) for name in rows[0]} if rows else {}


def load_metric_networks(test: TestPictures) -> MetricNetworks:
    """Load the networks whose weights are on this machine, without downloads.

    Raises:
        WeightsError: the features installed with ganvas are missing.
    """
    extractors = [efficientnet_features()]
    with suppress(WeightsError):  # only with weights of the user is a distance called FID
        extractors.append(inception_features(may_download=False))
    lpips = None
    with suppress(WeightsError):
        lpips = load_lpips(may_download=False)
    sides: tuple[Domain, ...] = ("a", "b")
    several = {side: extractors if len(test.sides[side]) >= 2 else [] for side in sides}
    real = {side: [Features.of(extractor, test.rgb(side)) for extractor in several[side]] for side in sides}
    return MetricNetworks(real, lpips)


def measure_run(run: Path, test: TestPictures, networks: MetricNetworks, *, device: str = "auto") -> Measured:
    """Translate in every direction that the run learned, and measure the results; the last snapshot is used.

    Raises:
        RunError: the run cannot be read.
    """
    directions = Translator.load(run, snapshot="last", device=device).method.directions
    translators = {
        direction: Translator.load(run, snapshot="last", device=device, direction=direction) for direction in directions
    }
    translated = {
        direction: translate_all(translator, test.sides[SIDES[direction][0]])
        for direction, translator in translators.items()
    }
    return Measured(
        translated=translated,
        scores=_scores(translated["a_to_b"].outputs, test, networks.lpips) if test.paired else {},
        returned={
            direction: _returned(translators[OPPOSITE[direction]], one, test, SIDES[direction][0])
            for direction, one in translated.items()
            if OPPOSITE[direction] in translators
        },
        distances={
            direction: networks.distances(one.rgb(), SIDES[direction][1]) for direction, one in translated.items()
        },
    )


def translate_all(translator: Translator, pictures: Mapping[str, AdmittedPicture]) -> Translated:
    """Translate admitted pictures one by one; translations that the gate refuses are excluded."""
    outputs, refused, seconds = dict[str, AdmittedPicture](), dict[str, str](), list[float]()
    for name, picture in pictures.items():
        started = time.perf_counter()
        result, _ = translate_admitted(translator, picture)
        seconds.append(time.perf_counter() - started)
        try:
            outputs[name] = admit(result, name=f"{name} (translated)")
        except PolicyRefusal as refusal:
            refused[name] = refusal.reason
    return Translated(outputs, refused, median(seconds[1:] or seconds))  # the first is a warm-up


def identity_baseline(test: TestPictures, networks: MetricNetworks) -> Measured:
    """Compute the same metrics for the unchanged inputs, with gray ones repeated for targets in color."""
    comparable = test.specs["a"].channels in (1, test.specs["b"].channels)
    return Measured(
        translated={},
        scores=_scores(test.sides["a"], test, networks.lpips, side="a") if test.paired and comparable else {},
        distances={
            direction: networks.distances(test.rgb(given), wanted) for direction, (given, wanted) in SIDES.items()
        },
    )


def training_reference(data: DataConfig, test: TestPictures, networks: MetricNetworks) -> Measured:
    """Compute the distances of the same number of real training pictures, the reference for a perfect translation."""
    counts = {direction: len(test.sides[given]) for direction, (given, _) in SIDES.items()}
    drawn = {
        direction: training_pictures(data, wanted, limit=counts[direction]) for direction, (_, wanted) in SIDES.items()
    }
    distances = {direction: networks.distances(drawn[direction], wanted) for direction, (_, wanted) in SIDES.items()}
    return Measured(translated={}, distances=distances)


def _scores(
    outputs: Mapping[str, AdmittedPicture], test: TestPictures, lpips: LPIPS | None, *, side: Domain = "b"
) -> dict[str, Measures]:
    """Measure each picture with respect to its target."""
    found = dict[str, Measures]()
    for name, output in outputs.items():
        truth = unit_from_picture(test.sides["b"][name].picture, test.specs["b"])
        images = unit_from_picture(output.picture, test.specs[side]).expand_as(truth)
        found[name] = measure(images, truth)[0] | {"lpips": lpips_or_none(lpips, images, truth)}
    return found


def _returned(back: Translator, translated: Translated, test: TestPictures, side: Domain) -> Summary:
    """Compute the PSNR of round trips, rounded to the file's type in between; the reverse translation is not shown."""
    spec, values = test.specs[side], []
    for name, output in translated.outputs.items():
        again, _ = translate_admitted(back, output)
        value = psnr(unit_from_picture(again, spec), unit_from_picture(test.sides[side][name].picture, spec)).item()
        values.append(min(value, LARGEST_PSNR))
    return summarize(values)
