"""Messages of many failures name each file once."""

from ganvas.errors import ImageError, PartialFailure


def test_a_failed_file_is_named_once() -> None:
    failures = {"deep/a.png": str(ImageError("photos/deep/a.png", "cut short")), "b.png": "nothing says what to cover"}
    assert str(PartialFailure(failures, 3)) == (
        "2 of 3 failed:\n  photos/deep/a.png: cut short\n  b.png: nothing says what to cover"
    )
