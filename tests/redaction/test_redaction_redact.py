"""Redaction of one picture: region, style, and verification until it passes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ganvas.content_gate import gate
from ganvas.errors import ConfigError, ImageError
from ganvas.image.cover import Cover
from ganvas.image.picture import Box, Picture
from ganvas.localization import Evidence, load_classifier
from ganvas.redaction.redact import CosmeticWarning, cosmetic, redact_picture
from ganvas.redaction.verifier import Scores, Verifier, window_scores

MakeScene = Callable[..., np.ndarray]
MIDDLE = Box(48, 32, 80, 64)


def judge_of(classifier: Any) -> Verifier:
    return Verifier.of(classifier, None)


class TestCovering:
    def test_the_patch_is_found_and_blackened_and_nothing_else_changes(self, checkers: Any, scene: MakeScene) -> None:
        picture = Picture(scene(MIDDLE))
        redaction = redact_picture(picture, verifier=judge_of(checkers))
        assert redaction.region[MIDDLE.mask(96, 128)].mean() > 0.95
        assert redaction.region.mean() < 0.3
        assert (redaction.picture.pixels[redaction.region] == 0).all()
        np.testing.assert_array_equal(redaction.picture.pixels[~redaction.region], picture.pixels[~redaction.region])
        assert redaction.score_before is not None
        assert redaction.score_after is not None
        assert redaction.score_before.record > 0.9
        assert redaction.score_after.record <= 0.2
        assert (redaction.style, redaction.whole) == ("solid", False)

    def test_a_picture_that_passes_stays(self, checkers: Any, scene: MakeScene) -> None:
        picture = Picture(scene())
        redaction = redact_picture(picture, verifier=judge_of(checkers))
        np.testing.assert_array_equal(redaction.picture.pixels, picture.pixels)
        assert not redaction.region.any()
        assert (redaction.boxes, redaction.widened) == ([], 0)
        assert redaction.score_before == redaction.score_after

    def test_what_only_the_border_shows_is_found(self, checkers: Any, scene: MakeScene) -> None:
        corner = Box(0, 0, 16, 12)
        picture = Picture(scene(corner))
        assert checkers.evidence(picture.pixels).scores[1] < 0.2
        redaction = redact_picture(picture, verifier=replace(judge_of(checkers), pass_window=0.2))
        assert redaction.region[corner.mask(96, 128)].mean() > 0.9

    def test_several_patches_are_all_covered(self, checkers: Any, scene: MakeScene) -> None:
        patches = [Box(8, 8, 32, 32), Box(88, 56, 120, 88)]
        redaction = redact_picture(Picture(scene(*patches)), verifier=judge_of(checkers))
        assert len(redaction.boxes) == 2
        for patch in patches:
            assert redaction.region[patch.mask(96, 128)].mean() > 0.9

    @pytest.mark.parametrize("dtype", [np.uint16, np.float32])
    @pytest.mark.parametrize("channel", range(5))
    def test_what_any_channel_shows_is_covered_in_all(
        self, checkers: Any, scene: MakeScene, dtype: type, channel: int
    ) -> None:
        pixels = scene(channels=5, dtype=dtype)
        pixels[..., channel] = scene(MIDDLE, channels=1, dtype=dtype)[..., 0]
        redaction = redact_picture(Picture(pixels), verifier=judge_of(checkers))
        assert redaction.region[MIDDLE.mask(96, 128)].mean() > 0.9
        assert (redaction.picture.pixels[redaction.region] == 0).all()
        assert redaction.picture.pixels.dtype == dtype
        assert not redaction.whole

    def test_opacity_becomes_full_where_it_is_covered(self, scene: MakeScene) -> None:
        shape = MIDDLE.mask(96, 128)
        silhouette = np.where(shape, np.random.default_rng(0).integers(0, 256, shape.shape), 77).astype(np.uint8)
        picture = Picture(np.dstack([scene(MIDDLE), silhouette]), has_alpha=True)
        pixels = redact_picture(picture, region=shape).picture.pixels
        assert (pixels[shape] == [0, 0, 0, 255]).all()
        assert (pixels[~shape][:, 3] == 77).all()

    def test_what_hides_under_transparency_is_seen(self, checkers: Any, scene: MakeScene) -> None:
        picture = Picture(np.dstack([scene(MIDDLE), np.zeros((96, 128), np.uint8)]), has_alpha=True)
        assert redact_picture(picture, verifier=judge_of(checkers)).region[MIDDLE.mask(96, 128)].mean() > 0.9

    def test_a_given_region_needs_no_judge(self, scene: MakeScene) -> None:
        region = Box(-5, 90, 20, 200).mask(96, 128)
        redaction = redact_picture(Picture(scene()), region=region)
        np.testing.assert_array_equal(redaction.region, region)
        assert (redaction.picture.pixels[region] == 0).all()
        assert (redaction.score_before, redaction.score_after) == (None, None)

    def test_a_given_region_is_covered_though_the_picture_passes(self, checkers: Any, scene: MakeScene) -> None:
        region = Box(3, 3, 20, 20).mask(96, 128)
        redaction = redact_picture(Picture(scene()), region=region, verifier=judge_of(checkers))
        np.testing.assert_array_equal(redaction.region, region)

    def test_a_given_region_that_is_not_enough_is_widened(self, checkers: Any, scene: MakeScene) -> None:
        region = Box(48, 32, 56, 40).mask(96, 128)
        redaction = redact_picture(Picture(scene(MIDDLE)), region=region, verifier=judge_of(checkers))
        assert redaction.widened >= 1
        assert redaction.region[MIDDLE.mask(96, 128)].mean() > 0.9

    def test_a_mask_of_another_size(self, scene: MakeScene) -> None:
        with pytest.raises(ImageError, match="128 x 96"):
            redact_picture(Picture(scene()), region=np.ones((96, 127), bool))

    def test_the_gate_is_not_asked(self, checkers: Any, scene: MakeScene, monkeypatch: pytest.MonkeyPatch) -> None:
        def scorer() -> gate.Scorer:
            raise AssertionError("asked")

        monkeypatch.setattr(gate, "load_scorer", scorer)
        redact_picture(Picture(scene(MIDDLE)), verifier=judge_of(checkers))


class Stubborn:
    """Classifier that recognizes its class until the whole picture is covered, and locates it in one small place."""

    class_names = ("plain", "seen")
    activation = "softmax"

    def __init__(self, share_that_convinces: float) -> None:
        self.share = share_that_convinces

    def evidence(self, rgb: np.ndarray) -> Evidence:
        black = float((rgb == 0).all(axis=2).mean())
        score = 0.05 if black >= self.share else 0.95
        features = np.full((1, 12, 16), -0.1, np.float32)
        features[0, 5, 7] = 1
        head = np.array([[0], [1]], np.float32)
        bias = np.array([0, -3], np.float32)
        return Evidence(
            np.array([1 - score, score], np.float32), features, head, bias, Box(0, 0, rgb.shape[1], rgb.shape[0])
        )

    dense_evidence = evidence


class TestWidening:
    def test_the_region_grows_until_it_passes(self, scene: MakeScene) -> None:
        shares = []
        for needed in (0.01, 0.1, 0.3):
            redaction = redact_picture(Picture(scene()), verifier=judge_of(Stubborn(needed)))
            assert redaction.score_after is not None
            assert redaction.score_after.record <= 0.2
            assert not redaction.whole
            shares.append((float(redaction.region.mean()), redaction.widened))
        assert shares == sorted(shares)
        assert shares[0][1] == 0
        assert shares[-1][0] >= 0.3

    @pytest.mark.parametrize("style", ["solid", "mosaic", "blur"])
    def test_else_the_whole_picture_is_covered_solid(self, scene: MakeScene, style: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CosmeticWarning)
            redaction = redact_picture(
                Picture(scene(MIDDLE)),
                verifier=judge_of(Stubborn(1.0)),
                how=Cover(style=style),  # type: ignore[arg-type]
            )
        assert redaction.whole
        assert redaction.style == "solid"
        assert len(np.unique(redaction.picture.pixels)) == 1

    def test_never_passing_is_the_whole_picture_too(self, scene: MakeScene) -> None:
        redaction = redact_picture(Picture(scene(MIDDLE)), verifier=judge_of(Stubborn(2.0)))
        assert redaction.whole
        assert (redaction.picture.pixels == 0).all()

    def test_nothing_in_particular_is_the_whole_picture(self, scene: MakeScene) -> None:
        class Vague(Stubborn):
            def evidence(self, rgb: np.ndarray) -> Evidence:
                seen = super().evidence(rgb)
                return replace(seen, features=np.full_like(seen.features, -1))

            dense_evidence = evidence

        assert redact_picture(Picture(scene()), verifier=judge_of(Vague(1.0))).whole


class TestFailingClosed:
    @pytest.mark.parametrize("look", ["evidence", "dense_evidence"])
    def test_an_exception_is_never_a_pass(self, checkers: Any, scene: MakeScene, look: str) -> None:
        def broken(rgb: np.ndarray) -> Evidence:
            raise RuntimeError("the session died")

        setattr(checkers, look, broken)
        with pytest.raises(ImageError, match="the session died"):
            redact_picture(Picture(scene()), verifier=judge_of(checkers))

    @pytest.mark.parametrize("score", [np.nan, np.inf, -1.0, 1.5])
    def test_nor_is_a_score_that_is_none(self, checkers: Any, scene: MakeScene, score: float) -> None:
        seen = checkers.evidence(scene())
        checkers.evidence = lambda rgb: replace(seen, scores=np.array([0, score], np.float32))
        with pytest.raises(ImageError, match="returned invalid scores"):
            redact_picture(Picture(scene()), verifier=judge_of(checkers))

    def test_nor_one_that_comes_while_widening(self, checkers: Any, scene: MakeScene) -> None:
        answers = iter([True, True])
        look = checkers.evidence

        def dying(rgb: np.ndarray) -> Evidence:
            if not next(answers, False):
                raise RuntimeError("out of memory")
            seen: Evidence = look(rgb)
            return seen

        checkers.evidence = dying
        with pytest.raises(ImageError, match="out of memory"):
            redact_picture(Picture(scene(MIDDLE)), region=Box(0, 0, 4, 4).mask(96, 128), verifier=judge_of(checkers))

    def test_samples_that_are_not_finite_are_not_judged(self, checkers: Any, scene: MakeScene) -> None:
        pixels = scene(dtype=np.float32)
        pixels[3, 3] = np.nan
        with pytest.raises(ImageError, match="NaN or infinite"):
            redact_picture(Picture(pixels), verifier=judge_of(checkers))


class TestStyles:
    @pytest.mark.parametrize(
        ("how", "is_cosmetic"),
        [
            (Cover(), False),
            (Cover(style="mosaic"), False),
            (Cover(style="mosaic", blocks=6), False),
            (Cover(style="mosaic", blocks=7), True),
            (Cover(style="mosaic", block_size=16), True),
            (Cover(style="blur"), True),
            (Cover(style="blur", sigma=40), True),
        ],
    )
    def test_what_can_be_seen_through_is_named_cosmetic(self, scene: MakeScene, how: Cover, is_cosmetic: bool) -> None:
        assert (cosmetic(how) is not None) == is_cosmetic
        picture, region = Picture(scene(MIDDLE)), MIDDLE.mask(96, 128)
        if is_cosmetic:
            with pytest.warns(CosmeticWarning, match="cosmetic"):
                redact_picture(picture, region=region, how=how)
        else:
            redact_picture(picture, region=region, how=how)

    @pytest.mark.parametrize("side", [8, 40, 80])
    def test_a_mosaic_has_four_blocks_across_each_region_however_large(
        self, side: int, rng: np.random.Generator
    ) -> None:
        picture = Picture(rng.integers(0, 256, (96, 200, 3)).astype(np.uint8))
        region = Box(2, 3, 2 + side, 3 + side).mask(96, 200) | Box(110, 3, 110 + side, 3 + side // 2).mask(96, 200)
        pixels = redact_picture(picture, region=region, how=Cover(style="mosaic")).picture.pixels
        for left, rows in ((2, 4), (110, 2)):
            patch = pixels[3 : 3 + side * rows // 4, left : left + side]
            assert len(np.unique(patch.reshape(-1, 3), axis=0)) == 4 * rows

    def test_a_color(self, scene: MakeScene) -> None:
        region = MIDDLE.mask(96, 128)
        pixels = redact_picture(Picture(scene()), region=region, how=Cover(color=(1.0, 0.0, 1.0))).picture.pixels
        assert (pixels[region] == [255, 0, 255]).all()

    def test_a_solid_result_does_not_depend_on_what_it_covers(self, scene: MakeScene) -> None:
        region = MIDDLE.mask(96, 128)
        results = [redact_picture(Picture(image), region=region).picture.pixels for image in (scene(), scene(MIDDLE))]
        np.testing.assert_array_equal(*results)


class TestJudge:
    def test_many_classes_need_a_name(self, checkers: Any) -> None:
        checkers.class_names = ("a", "b", "c")
        with pytest.raises(ConfigError, match="--class"):
            Verifier.of(checkers, None)
        with pytest.raises(ConfigError, match="no class 'd'"):
            Verifier.of(checkers, "d")
        assert Verifier.of(checkers, "C").class_name == "c"
        assert Verifier.of(checkers, "a").pass_window == 0.2

    def test_a_single_class_needs_no_name(self, checkers: Any) -> None:
        checkers.class_names, checkers.activation = ("tumor",), "sigmoid"
        verifier = Verifier.of(checkers, None)
        assert (verifier.class_name, verifier.pass_window) == ("tumor", 0.2)

    def test_two_labels_by_themselves_need_a_name(self, checkers: Any) -> None:
        checkers.activation = "sigmoid"
        with pytest.raises(ConfigError, match="--class"):
            Verifier.of(checkers, None)
        assert Verifier.of(checkers, "plain").pass_window == 0.2

    def test_nothing_is_released_by_scores_that_are_guessed(self, checkers: Any) -> None:
        checkers.activation = None
        with pytest.raises(ConfigError, match="activation"):
            Verifier.of(checkers, "plain")

    def test_windows_of_a_sigmoid(self) -> None:
        features, head = np.full((1, 3, 3), 2, np.float32), np.array([[1], [-1]], np.float32)
        seen = Evidence(np.zeros(2, np.float32), features, head, np.zeros(2, np.float32), Box(0, 0, 9, 9), "sigmoid")
        np.testing.assert_allclose(window_scores(seen)[0, 0], [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))], atol=1e-6)

    def test_limits(self, checkers: Any) -> None:
        verifier = Verifier.of(checkers, None)
        assert (verifier.class_name, verifier.pass_score, verifier.pass_window) == ("checkered", 0.2, 0.8)
        assert verifier.passes(Scores(0.2, 0.2, 0.8))
        assert not verifier.passes(Scores(0.21, 0, 0))
        assert not verifier.passes(Scores(0, 0.21, 0))
        assert not verifier.passes(Scores(0, 0, 0.81))
        for score in (0.0, 1.0, -1.0, float("nan")):
            with pytest.raises(ConfigError):
                Verifier.of(checkers, None, pass_score=score)

    def test_coverage_sets_how_much_the_first_region_takes_in(self, checkers: Any, scene: MakeScene) -> None:
        features = np.linspace(0, 1, 16, dtype=np.float32)[None, None].repeat(12, axis=1)
        head, bias = np.array([[0], [1]], np.float32), np.zeros(2, np.float32)
        seen = Evidence(np.array([0.1, 0.9], np.float32), features, head, bias, Box(0, 0, 128, 96))
        checkers.dense_evidence = checkers.evidence = lambda rgb: seen
        shares = [
            Verifier.of(checkers, None, coverage=coverage).find(Picture(scene())).mean()
            for coverage in (0.1, 0.5, 0.9, 1)
        ]
        np.testing.assert_allclose(shares, [0.1, 0.5, 0.9, 1], atol=0.06)
        for coverage in (0.0, 1.1, float("nan")):
            with pytest.raises(ConfigError, match="coverage"):
                Verifier.of(checkers, None, coverage=coverage)

    def test_the_first_region_is_where_the_class_is_recognized(self, checkers: Any, scene: MakeScene) -> None:
        """Weak evidence in the first view does not hide the object in the fifth channel."""
        pixels = scene(channels=5)
        weak, strong = Box(0, 0, 8, 8), Box(48, 32, 80, 64)
        pixels[..., :3] = scene(weak)
        pixels[..., 4] = scene(strong, channels=1)[..., 0]
        verifier = judge_of(checkers)
        assert verifier.passes(verifier.scores(Picture(scene(weak))))
        found = verifier.find(Picture(pixels))
        assert found[strong.mask(96, 128)].mean() > 0.95
        assert not found[weak.mask(96, 128)].any()

    def test_a_picture_of_one_view_is_examined_once(self, checkers: Any, scene: MakeScene) -> None:
        checkers.evidence = None  # the center crop is not needed
        judge_of(checkers).find(Picture(scene(MIDDLE)))
        assert len(checkers.seen) == 1

    def test_without_a_view_in_which_it_is_recognized_all_evidence_counts(
        self, checkers: Any, scene: MakeScene
    ) -> None:
        weak = Box(0, 0, 8, 8)
        found = judge_of(checkers).find(Picture(scene(weak)))
        assert found[weak.mask(96, 128)].all()
        assert found.mean() < 0.1
        assert judge_of(checkers).find(Picture(scene())).all()

    def test_a_window_is_what_the_classifier_would_see_there(self, rng: np.random.Generator) -> None:
        features = rng.normal(0, 1, (5, 9, 12)).astype(np.float32)
        head, bias = rng.normal(0, 1, (3, 5)).astype(np.float32), rng.normal(0, 1, 3).astype(np.float32)
        scores = window_scores(Evidence(np.zeros(3, np.float32), features, head, bias, Box(0, 0, 9, 9)))
        assert scores.shape == (3, 6, 3)
        logits = head @ features[:, 1:8, 4:11].mean(axis=(1, 2)) + bias
        np.testing.assert_allclose(scores[1, 4], np.exp(logits) / np.exp(logits).sum(), atol=1e-6)

    def test_a_map_smaller_than_a_window(self, rng: np.random.Generator) -> None:
        features = rng.normal(0, 1, (5, 3, 2)).astype(np.float32)
        seen = Evidence(
            np.zeros(2, np.float32), features, np.ones((2, 5), np.float32), np.zeros(2, np.float32), Box(0, 0, 9, 9)
        )
        np.testing.assert_allclose(window_scores(seen), np.full((1, 1, 2), 0.5), atol=1e-6)


class TestOpenNSFW:
    def test_a_covered_picture_passes_and_an_ordinary_one_stays(self, scene: MakeScene) -> None:
        verifier = judge_of(load_classifier("nsfw"))
        assert verifier.passes(verifier.scores(Picture(np.zeros((200, 300, 3), np.uint8))))
        picture = Picture(scene(height=200, width=300))
        redaction = redact_picture(picture, verifier=verifier)
        np.testing.assert_array_equal(redaction.picture.pixels, picture.pixels)
