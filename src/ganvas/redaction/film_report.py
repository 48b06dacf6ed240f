"""Report of a redacted film: log entry, one line per frame, and an HTML page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ganvas.bulk.journal import Record
from ganvas.filesystem.atomic import atomic_file, write_text
from ganvas.image.picture import Box
from ganvas.localization.detectors import DetectionConfig, region_of
from ganvas.redaction.detections import ManualBox
from ganvas.redaction.film import FilmRedaction, doubts, lowest_scores
from ganvas.redaction.film_passes import FilmSettings
from ganvas.redaction.redact import cosmetic
from ganvas.redaction.tracks import Track
from ganvas.reports import html
from ganvas.reports.pictures import picture_grid

__all__ = ["film_line", "frames_path", "page_path", "write_film_report"]

BAR_WIDTH, BAR_HEIGHT = 640, 10
"""Width of the timeline and height of a track in it, in pixels."""
SHOWN_BARS = 60
"""Number of tracks in the timeline; the longest ones are shown."""
SCORES = (
    "A score is the detector's confidence in [0, 1] that the object is there. Detections with low scores are "
    "doubtful; objects that the detectors missed in every frame have no score and are not covered."
)


def frames_path(log: Path, name: str) -> Path:
    """Return the path of the file with the lines of a film's frames, beside the redaction log."""
    return log.parent / f"{name}.frames.jsonl"


def page_path(log: Path, name: str) -> Path:
    """Return the path of the page of a film, beside the redaction log."""
    return log.parent / f"{name}.redaction.html"


def film_line(redaction: FilmRedaction, settings: FilmSettings, *, tested: Sequence[str]) -> Record:
    """Return the film's entry in the redaction log, without its hashes."""
    tracks = redaction.tracker.tracks
    whole, share = whole_frames(redaction), _share(redaction)
    is_cosmetic = settings.how.style != "solid" and cosmetic(settings.how) is not None
    return {
        "region": {
            "boxes": [
                *map(_edges, redaction.given),
                *map(_hull, tracks),
                *(_edges(box.pixels()) for box, _ in redaction.manual),
            ],
            "share": round(share, 6),
            "whole": len(whole) == redaction.num_frames,
        },
        "style": settings.how.style,
        "cosmetic": is_cosmetic,
        "film": {
            "frames": redaction.num_frames,
            "seconds": round(redaction.times[-1] - redaction.times[0], 6) if redaction.times else 0.0,
            "detect": list(tested),
            "hold": settings.tracking.hold,
            "tracks": [_track_record(track) for track in tracks],
            "by_hand": [
                {"start": box.start, "end": box.end, "label": box.label, "box": _edges(box.pixels())}
                for box, _ in redaction.manual
            ],
            "verified": len(redaction.verified),
            "widened": [one.frame for one in redaction.verified if one.boxes],
            "covered_whole": whole,
            "not_examined": {str(frame): problem for frame, problem in redaction.problems.items()},
            "repeated": list(redaction.repeated),
            "preview": settings.preview,
        },
        "sound": f"{counted(redaction.sound_tracks, 'sound track')} copied; sound was not examined"
        if redaction.sound_tracks
        else "no sound in the result",
        "dropped": list(redaction.dropped),
        "verdict": verdict(redaction, tested, by_hand=settings.detections is not None, covers=share > 0),
    }


def verdict(redaction: FilmRedaction, tested: Sequence[str], *, by_hand: bool, covers: bool) -> str:
    """Return a sentence on exactly what was verified about the film.

    Args:
        redaction: redaction of the film.
        tested: names of the detectors.
        by_hand: whether the detections were given, so that the detectors only examined the covered frames.
        covers: whether anything is covered.
    """
    if by_hand or not tested:
        covered = "the given regions are covered" if covers else "no given region lies in the film; nothing is covered"
    elif count := len(redaction.tracker.tracks):
        covered = f"{counted(count, 'track')} {'is' if count == 1 else 'are'} covered"
    else:
        covered = f"nothing was found{'' if covers else ', nothing is covered'}"
    if not tested:
        return f"{covered}; nothing was verified"
    what = ", ".join(tested)
    if not redaction.verified:
        return f"{covered}; the covered frames were not examined again ({what})"
    return (
        f"{covered}; examined again for {what}, {counted(len(redaction.verified), 'covered frame')} showed nothing, "
        "apart from completely covered ones; recognition by people was not tested"
    )


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: "1 track", "2,000 tracks"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def whole_frames(redaction: FilmRedaction) -> list[int]:
    """Return the frames that are covered completely."""
    return [frame for frame, time in enumerate(redaction.times) if redaction.plan.at(frame, time).whole]


def write_film_report(name: str, log: Path, redaction: FilmRedaction, settings: FilmSettings, line: Record) -> None:
    """Write one line per frame, and the page; both contain covered frames only, so they may be released."""
    verified = {one.frame: one for one in redaction.verified}
    scores: dict[int, float] = {}
    for track in redaction.tracker.tracks:
        for frame, score in zip(track.frames, track.scores, strict=True):
            scores[frame] = max(score, scores.get(frame, 0.0))
    path = frames_path(log, name)
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for frame, time in enumerate(redaction.times):
            covers = redaction.plan.at(frame, time)
            record: dict[str, Any] = {
                "frame": frame,
                "time": time,
                "score_before": round(scores.get(frame, 0.0), 4),
                "whole": covers.whole,
                "covers": [
                    *({"track": 0, "label": "given", "box": _edges(box)} for box in redaction.given),
                    *({"track": one.track, "label": one.label, "box": _edges(one.box)} for one in covers.covers),
                ],
            }
            if again := verified.get(frame):
                record |= {"score_covered": round(again.score, 4), "score_after": round(again.after, 4)}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    write_text(page_path(log, name), as_html(name, redaction, settings, line))


def as_html(name: str, redaction: FilmRedaction, settings: FilmSettings, line: Record) -> str:
    """Return the page: a picture of each track, the least certain frames, a timeline, and a table of tracks."""
    film = line["film"]
    figures = [
        (f"{film['frames']:,}", "frames" if film["frames"] != 1 else "frame"),
        (f"{len(film['tracks']):,}", "tracks" if len(film["tracks"]) != 1 else "track"),
        (f"{100 * line['region']['share']:.1f} %", "of all pixels covered"),
        (f"{film['verified']:,}", "frames examined again"),
        (f"{len(film['widened']):,}", "of these widened"),
        (f"{len(film['covered_whole']):,}", "frames covered completely"),
    ]
    sections = [("", html.figures(figures))]
    tracks = sorted(redaction.tracker.tracks, key=lambda track: track.times[0] - track.times[-1])
    if tracks:
        sections.append(("Time line", _time_line(tracks[:SHOWN_BARS], redaction)))
        sections.append(("Covered tracks", _pictures({_surest(track): _caption(track) for track in tracks}, redaction)))
    if redaction.manual:
        captions = {frame: _span(box) for box, frame in redaction.manual}
        sections.append(("Covered manual boxes", _pictures(captions, redaction)))
    doubtful = doubts(redaction.tracker, redaction.problems, redaction.verified)
    if doubtful:
        lowest = lowest_scores(redaction.tracker)
        captions = {
            frame: f"frame {frame:,}, {_clock(redaction.times[frame])}: {_why(frame, redaction, lowest)}"
            for frame in doubtful
        }
        sections.append(
            ("Least certain frames: look at these first", _pictures(captions, redaction) + html.note(SCORES))
        )
    header = ["track", "what", "from", "to", "frames", "lowest score", "highest score"]
    rows = [
        [str(one["track"]), one["label"], _clock(one["start"]), _clock(one["end"])]
        + [one[key] for key in ("frames", "lowest", "highest")]
        for one in film["tracks"]
    ]
    if rows:
        sections.append(("Table of tracks", html.table(header, rows)))
    notes = [line["sound"], *(f"not in the result: {what}" for what in line["dropped"])]
    notes += [
        f"frame {frame} could not be examined and is covered completely: {why}"
        for frame, why in redaction.problems.items()
    ]
    notes += [f"frame {frame} was damaged; the previous covered frame replaces it" for frame in redaction.repeated]
    sections.append(("Notes", html.points(notes[:100])))
    intro = html.paragraph(
        f"{line['verdict']}. Style: {settings.how.style}{' (cosmetic)' if line['cosmetic'] else ''}."
    )
    return html.page(f"Redaction of {name}", intro + html.note(f"ganvas {version('ganvas')}"), sections)


def _pictures(captions: dict[int, str], redaction: FilmRedaction) -> str:
    shown = [(redaction.shown[frame], caption) for frame, caption in captions.items() if frame in redaction.shown]
    rows = [shown[start : start + 4] for start in range(0, len(shown), 4)]
    return picture_grid(
        [[picture for picture, _ in row] for row in rows],
        captions=[[caption for _, caption in row] for row in rows],
        lossy=True,
    )


def _why(frame: int, redaction: FilmRedaction, scores: dict[int, float]) -> str:
    """Return the reason why a frame is among the least certain ones."""
    again = next((one for one in redaction.verified if one.frame == frame), None)
    if frame in redaction.problems:
        return "could not be examined"
    if again is not None and (again.boxes or again.whole):
        return f"score {again.score:.2f} under the first cover, {'covered completely' if again.whole else 'widened'}"
    return f"lowest score {scores.get(frame, 0.0):.2f}"


def _time_line(tracks: Sequence[Track], redaction: FilmRedaction) -> str:
    """Return an SVG timeline: a bar for each track, and below marks for widened and for completely covered frames."""
    end = max(redaction.times[-1], 1e-6)
    step = BAR_HEIGHT + 4
    bars = []
    for row, track in enumerate(tracks):
        left, right = (BAR_WIDTH * time / end for time in (track.times[0], track.times[-1]))
        title = escape(f"track {track.number}: {track.label}, {_clock(track.times[0])} to {_clock(track.times[-1])}")
        bars.append(
            f'<rect x="{left:.1f}" y="{row * step}" width="{max(right - left, 2):.1f}" height="{BAR_HEIGHT}" '
            f'fill="currentColor" opacity="0.6"><title>{title}</title></rect>'
            f'<text x="-6" y="{row * step + BAR_HEIGHT - 1}" text-anchor="end" font-size="{BAR_HEIGHT}" '
            f'fill="currentColor">{track.number}</text>'
        )
    widened = [one.frame for one in redaction.verified if one.boxes]
    marks = _marks(widened, "widened", "#d68910", redaction, row=len(tracks), end=end)
    marks += _marks(whole_frames(redaction), "covered completely", "#c0392b", redaction, row=len(tracks) + 1, end=end)
    label = f"Time line of {counted(len(tracks), 'track')} over {_clock(end)}"
    return (
        f'<svg viewBox="-40 0 {BAR_WIDTH + 40} {(len(tracks) + 2) * step}" role="img" aria-label="{escape(label)}" '
        f'style="width:100%">{"".join(bars)}{marks}</svg>'
        + html.note(
            f"0 to {_clock(end)}; one bar per track with its number, the longest first; orange below: frames widened "
            "after the verification; red: completely covered frames."
        )
    )


def _marks(frames: Sequence[int], what: str, color: str, redaction: FilmRedaction, *, row: int, end: float) -> str:
    """Return a mark for each frame in a row of the timeline."""
    return "".join(
        f'<rect x="{BAR_WIDTH * redaction.times[frame] / end:.1f}" y="{row * (BAR_HEIGHT + 4)}" width="2" '
        f'height="{BAR_HEIGHT}" fill="{color}"><title>frame {frame}: {what}</title></rect>'
        for frame in frames
    )


def _edges(box: Box) -> list[int]:
    return [box.left, box.top, box.right, box.bottom]


def _surest(track: Track) -> int:
    return track.frames[max(range(len(track.scores)), key=track.scores.__getitem__)]


def _caption(track: Track) -> str:
    return f"{track.number}: {track.label}, {_clock(track.times[0])}, score {max(track.scores):.2f}"


def _span(box: ManualBox) -> str:
    return f"{box.label}, {_clock(box.start)} to {_clock(box.end)}, box {', '.join(map(str, _edges(box.pixels())))}"


def _track_record(track: Track) -> dict[str, Any]:
    return {
        "track": track.number,
        "label": track.label,
        "start": round(track.times[0], 6),
        "end": round(track.times[-1], 6),
        "frames": len(track.frames),
        "lowest": round(min(track.scores), 4),
        "highest": round(max(track.scores), 4),
    }


def _hull(track: Track) -> list[int]:
    edges = [track.edges[start : start + 4] for start in range(0, len(track.edges), 4)]
    lefts, tops, rights, bottoms = zip(*edges, strict=True)
    return [min(lefts), min(tops), max(rights), max(bottoms)]


def _share(redaction: FilmRedaction) -> float:
    """Return the share of all pixels of the film that is covered."""
    height, width = redaction.info.height, redaction.info.width
    given = region_of(redaction.given, DetectionConfig(), height, width)
    covered = (redaction.plan.at(frame, time).region(height, width) for frame, time in enumerate(redaction.times))
    shares = ((region | given).mean() for region in covered)
    return float(sum(shares) / max(len(redaction.times), 1))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:05.2f}"
