"""Messages about many failures name each file only once."""

from pathlib import Path

import pytest

from ganvas.errors import ImageError, PartialFailure, problem_of


def test_a_failed_file_is_named_once() -> None:
    failures = {"deep/a.png": str(ImageError("photos/deep/a.png", "cut short")), "b.png": "nothing says what to cover"}
    assert str(PartialFailure(failures, 3)) == (
        "2 of 3 failed:\n  photos/deep/a.png: cut short\n  b.png: nothing says what to cover"
    )


def test_what_the_system_says_of_a_file_has_no_number() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Path("deep/none.png").read_bytes()
    assert problem_of(caught.value) == "deep/none.png: No such file or directory"
    assert str(PartialFailure({"none.png": problem_of(caught.value)}, 1)) == (
        "1 of 1 failed:\n  deep/none.png: No such file or directory"
    )
    assert problem_of(OSError(28, "No space left on device")) == (
        "No space left on device; make room, and run the same command again"
    )
    assert problem_of(MemoryError()) == "MemoryError"
