"""Translation of one picture: its result, and its state during processing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ganvas.content_gate import AdmittedPicture, admit_many
from ganvas.errors import FILE_ERRORS, PolicyRefusal
from ganvas.image.picture import Picture

__all__ = ["ConversionWarning", "InProgress", "Translation", "admit_each", "or_raised", "still_going"]


class ConversionWarning(UserWarning):
    """Warning that a picture was converted to the input format of the model."""


@dataclass(frozen=True)
class Translation:
    """One translated picture.

    Attributes:
        admitted: the result, of the input's size times the method's scale.
        notes: notes for the user on conversions.
        tiling_note: note for the user if tiles are not exact.
    """

    admitted: AdmittedPicture
    notes: tuple[str, ...]
    tiling_note: str | None = None

    @property
    def picture(self) -> Picture:
        """The translated picture."""
        return self.admitted.picture

    @property
    def all_notes(self) -> tuple[str, ...]:
        """All notes, including the one on tiles."""
        return self.notes + ((self.tiling_note,) if self.tiling_note else ())


@dataclass
class InProgress:
    """State of one picture in `Translator.translate_many`; `outcome` is None until it ends."""

    name: str
    picture: Picture
    window: Sequence[Picture] = ()
    """Window of frames with the picture in the middle; empty if the run takes single pictures, or for still
    pictures."""
    notes: tuple[str, ...] = ()
    admitted: AdmittedPicture | None = None
    neighbors: tuple[AdmittedPicture, ...] = ()
    """The window after the gate has admitted it."""
    made: Picture | None = None
    tiling_note: str | None = None
    outcome: Translation | Exception | None = None

    @contextmanager
    def failing_alone(self) -> Iterator[None]:
        """Store an error inside the block as the outcome of this picture, so that the others continue."""
        try:
            yield
        except FILE_ERRORS as error:
            self.outcome = error


def still_going(work: Sequence[InProgress]) -> list[InProgress]:
    """Return the items without an error."""
    return [one for one in work if one.outcome is None]


def admit_each(work: Sequence[InProgress]) -> None:
    """Gate pictures and the frames in their windows, each once; the cache of scores is opened once for all of them.

    A picture is refused if it or a frame of its window is refused.
    """
    own = {id(one.picture) for one in work}
    beside = {id(frame): (f"{one.name} (neighboring frame)", frame) for one in work for frame in one.window}
    others = {key: named for key, named in beside.items() if key not in own}
    outcomes = admit_many([*((one.name, one.picture) for one in work), *others.values()])
    known = dict(zip([*(id(one.picture) for one in work), *others], outcomes, strict=True))
    for one, outcome in zip(work, outcomes, strict=False):
        with one.failing_alone():
            one.admitted = or_raised(outcome)
            one.neighbors = tuple(or_raised(known[id(frame)]) for frame in one.window)


def or_raised(outcome: AdmittedPicture | PolicyRefusal) -> AdmittedPicture:
    """Return an admitted picture, or raise a refusal."""
    if isinstance(outcome, PolicyRefusal):
        raise outcome
    return outcome
