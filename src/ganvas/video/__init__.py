"""Films: reading frame by frame, exact time stamps, writing with all that belongs to a film, segments."""

from ganvas.video.film import ColorTags, FilmInfo, Frame, Segment, StreamInfo
from ganvas.video.read import FILM_SUFFIXES, has_film_suffix, is_film, plan_segments, probe, read_video

__all__ = [
    "FILM_SUFFIXES",
    "ColorTags",
    "FilmInfo",
    "Frame",
    "Segment",
    "StreamInfo",
    "has_film_suffix",
    "is_film",
    "plan_segments",
    "probe",
    "read_video",
]
