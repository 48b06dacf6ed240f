"""Video files and animations: frames with exact timestamps, sound and other streams, and segments."""

from ganvas.video.film import ColorTags, FilmInfo, Frame, Segment, StreamInfo, WriteOptions, WriteReport
from ganvas.video.label import read_film_label
from ganvas.video.read import (
    FILM_SUFFIXES,
    WRITTEN_SUFFIXES,
    has_film_suffix,
    is_film,
    plan_segments,
    probe,
    read_video,
)
from ganvas.video.write import FilmWriter, check_writable, join_segments, write_segment, write_video

__all__ = [
    "FILM_SUFFIXES",
    "WRITTEN_SUFFIXES",
    "ColorTags",
    "FilmInfo",
    "FilmWriter",
    "Frame",
    "Segment",
    "StreamInfo",
    "WriteOptions",
    "WriteReport",
    "check_writable",
    "has_film_suffix",
    "is_film",
    "join_segments",
    "plan_segments",
    "probe",
    "read_film_label",
    "read_video",
    "write_segment",
    "write_video",
]
