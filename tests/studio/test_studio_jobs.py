"""Job queue of the studio: order, positions, cancellation, and crashes that affect no other job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from studio_workers import Act

from ganvas.errors import InputError
from ganvas.progress import Progress
from ganvas.studio import jobs
from ganvas.studio.jobs import Job, JobQueue
from ganvas.studio.worker import outcome_of


@pytest.fixture(scope="module")
def queue() -> Iterator[JobQueue]:
    queue = JobQueue("test", patience=0.3)
    yield queue
    queue.close()


def done(queue: JobQueue, what: str) -> Job:
    job = queue.add(Job(Act(what), "act", what))
    assert job.over.wait()
    return job


def running(queue: JobQueue, what: str) -> Job:
    job = queue.add(Job(Act(what), "act", what))
    while job.state == "queued" or queue._worker is None:
        assert not job.over.is_set()
    return job


def test_results_and_failures_are_told_in_words(queue: JobQueue) -> None:
    assert done(queue, "work").result["answer"] == 42  # type: ignore[index]
    failed = done(queue, "fail")
    assert (failed.state, failed.message) == ("failed", "the picture is blue")
    refused = done(queue, "refuse")
    assert (refused.state, refused.message) == ("refused", "a.png: refused: as it should")
    broken = done(queue, "break")
    assert broken.state == "failed"
    assert "please report it" in broken.message
    assert "Traceback" not in broken.message


@pytest.mark.slow
def test_a_crash_is_told_and_the_next_job_gets_a_new_worker(queue: JobQueue) -> None:
    before = done(queue, "work").result
    crashed = done(queue, "crash")
    assert crashed.state == "failed"
    assert "the worker crashed (signal SIGKILL" in crashed.message
    after = done(queue, "work").result
    assert before is not None
    assert after is not None
    assert after["process"] != before["process"]


def test_positions_and_removal_from_the_queue(queue: JobQueue) -> None:
    first = running(queue, "wait")
    waiting = [queue.add(Job(Act("work"), "act", "later")) for _ in range(3)]
    places = {one["id"]: one["position"] for one in queue.records()}
    assert [places[job.id] for job in (first, *waiting)] == [None, 1, 2, 3]
    queue.cancel(waiting[0].id)
    assert waiting[0].state == "cancelled"
    while first.progress is None:
        assert not first.over.is_set()
    queue.cancel(first.id)
    assert waiting[2].over.wait()
    assert [job.state for job in waiting] == ["cancelled", "done", "done"]
    assert first.state == "cancelled"
    assert first.progress is not None


def test_what_a_job_needs_is_known_until_it_ends(queue: JobQueue, tmp_path: Path) -> None:
    first = queue.add(Job(Act("wait"), "act", "first", needs=[tmp_path / "first"]))
    second = queue.add(Job(Act("work"), "act", "second", needs=[tmp_path / "second"]))
    assert queue.needed() == [tmp_path / "first", tmp_path / "second"]
    queue.cancel(first.id)
    assert second.over.wait()
    assert queue.needed() == []


@pytest.mark.slow
def test_a_task_that_does_not_stop_ends_with_its_process(queue: JobQueue) -> None:
    hanging = running(queue, "hang")
    worker = queue._worker
    assert worker is not None
    queue.cancel(hanging.id)
    assert hanging.over.wait()
    assert hanging.state == "cancelled"
    assert not worker.process.is_alive()
    assert done(queue, "work").state == "done"


def test_a_result_without_a_place_is_a_failure(queue: JobQueue) -> None:
    def receive(result: dict[str, object]) -> dict[str, object]:
        raise KeyError("gone")

    job = queue.add(Job(Act("work"), "act", "work", receive))
    assert job.over.wait()
    assert job.state == "failed"


def test_too_many_jobs_are_refused(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "WAITING", 1)
    first = running(queue, "wait")
    second = queue.add(Job(Act("work"), "act", "later"))
    with pytest.raises(InputError, match="already waiting"):
        queue.add(Job(Act("work"), "act", "too many"))
    queue.cancel(first.id)
    assert second.over.wait()


def test_time_left_follows_from_the_mean_speed() -> None:
    job = Job(Act("work"), "act", "work", state="running", started=time.monotonic() - 10, progress=("frames", 25, 100))
    assert job.as_record(None)["left"] == pytest.approx(30, abs=1)


def test_a_cancelled_task_is_no_failure() -> None:
    progress = Progress()
    progress.cancel()
    assert outcome_of(Act("wait"), progress, note=lambda text: None) == {"cancelled": "stopped"}
