"""Review of redactions: doubt of each result, sign-off by a person, and the archive to download."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

from ganvas.errors import InputError
from ganvas.studio.storage import Storage, Upload

__all__ = ["PRIVATE", "doubt_of", "record_redaction", "settings_in_words", "sign", "write_archive"]

PRIVATE = ("path", "companions")
"""Keys of a review with paths of this machine, which are not sent to the page."""

SCORES = """\
The scores of redaction.jsonl, each in [0, 1]:
  record, dense, window   probability of the class in the classifier's own center crop, in the whole picture, and in its
                          strongest window; score_before: in the original, score_after: in the result
  score of a detection    confidence of the detector that the object is there
Undetected objects have no score and are not covered. No score tells whether people recognize what is covered.
"""


def doubt_of(line: dict[str, Any], problem: str | None) -> tuple[float, str]:
    """Return the doubt about a redaction, from 0 to 1, and its reason.

    Args:
        line: line of the redaction log.
        problem: reason why there is no result.
    """
    if problem:
        return 1.0, "no result"
    region, reasons = line.get("region", {}), list[tuple[float, str]]()
    if not covers(line):
        reasons.append((0.95, "nothing is covered"))
    if line.get("cosmetic"):
        reasons.append((0.6, "the style hides little"))
    after = line.get("score_after")
    if after is not None:
        highest = max(after.values())
        reasons.append((0.8 * highest, f"the classifier still gives a score of {highest:.2f}"))
    scores = [one["score"] for one in line.get("detections", [])]
    scores += [track["lowest"] for track in line.get("film", {}).get("tracks", [])]
    if scores:
        reasons.append((1 - min(scores), f"the weakest detection has a score of {min(scores):.2f}"))
    if line.get("film", {}).get("not_examined"):
        reasons.append((0.9, "some frames could not be examined"))
    if (widened := line.get("widened", 0)) > 0:
        reasons.append((min(0.4 + 0.1 * widened, 0.8), f"the region was widened {widened} times"))
    if region.get("whole"):
        reasons.append((0.3, "everything is covered"))
    if after is None and not scores and region.get("boxes"):
        reasons.append((0.5, "painted and not verified"))
    return max(reasons, default=(0.2, "no doubts"))


def covers(line: dict[str, Any]) -> bool:
    """Return whether anything of a file is covered."""
    region = line.get("region", {})
    return bool(region.get("boxes") or region.get("whole") or region.get("share"))


def record_redaction(storage: Storage, content: dict[str, Any]) -> dict[str, Any]:
    """Attach the results of a redaction to its uploads, and return the description for the page."""
    for one in content["results"]:
        try:
            upload = storage.get(one["id"])
        except KeyError:  # removed in the meantime
            continue
        problem, line = one.get("problem"), one["line"]
        doubt, why = doubt_of(line, problem)
        before = upload.review
        review: dict[str, Any] = {"line": line, "problem": problem, "doubt": doubt, "why": why, "signed": None}
        review |= {"sought": one.get("sought", False), "painted": one.get("painted", False)}
        review["rounds"] = before.get("rounds", 0) + 1
        if problem is None:
            result = Path(one["result_path"])
            review["view"] = storage.publish(Path(one["view_path"]), "image/png", f"{result.stem}.png")
            review["result"] = storage.publish(result, media_type(result), result.name)
            review |= {"path": str(result), "companions": one["companions"]}
            review |= {"words": settings_in_words(review), "covered": covers(line)}
            if "film" in line:  # a person who signs it off can watch both
                review["original"] = storage.publish(upload.path, media_type(Path(upload.name)), upload.name)
            for page in (Path(path) for path in one["companions"] if path.endswith(".html")):
                review["page"] = storage.publish(page, "text/html", page.name)
        upload.review = review
    return {"ids": [one["id"] for one in content["results"]], "warning": content["warning"]}


def media_type(path: Path) -> str:
    """Return the media type of a result; plain bytes for types that browsers do not display."""
    types = {
        ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif",
        ".mp4": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska",
    }  # fmt: skip
    return types.get(path.suffix.lower(), "application/octet-stream")


def sign(upload: Upload, name: str, *, original_seen: bool) -> None:
    """Record the sign-off of a redaction by a person; an empty name revokes it.

    Args:
        upload: upload with a result.
        name: name of the person.
        original_seen: whether the person revealed the original, which is blurred at first.
    """
    signed = {"by": name[:80], "time": datetime.now(UTC).isoformat(timespec="seconds"), "original_seen": original_seen}
    upload.review = {**upload.review, "signed": signed if name else None}


def write_archive(uploads: Sequence[Upload], path: Path) -> None:
    """Write a ZIP file of the results, the reports of films, the log with the reviews, and an explanation.

    Raises:
        InputError: nothing is redacted yet.
    """
    done = [one for one in uploads if one.review.get("path")]
    if not done:
        raise InputError("nothing is redacted yet")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for upload in done:
            archive.write(upload.review["path"], PurePath(upload.name))
            for companion in upload.review["companions"]:
                archive.write(companion, PurePath(companion).name)
        lines = [json.dumps(_line(one), ensure_ascii=False) for one in done]
        archive.writestr("redaction.jsonl", "".join(f"{line}\n" for line in lines))
        archive.writestr("READ-ME.txt", _explanation(done))


def _line(upload: Upload) -> dict[str, Any]:
    review = upload.review
    return {**review["line"], "doubt": round(review["doubt"], 3), "doubt_because": review["why"],
            "rounds": review["rounds"], "signed_off": review["signed"]}  # fmt: skip


def _explanation(done: Sequence[Upload]) -> str:
    head = f"Redacted with ganvas {version('ganvas')} (studio), {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.\n"
    head += f"{len(done)} file{'s' * (len(done) != 1)}: {_sign_offs(done)}.\n"
    rows = [f"{one.name}: {one.review['words']}. {one.review['line']['verdict']}. {_sign_off(one)}." for one in done]
    return "\n".join([head, *rows, "", SCORES])


def _sign_offs(done: Sequence[Upload]) -> str:
    """Describe who signed off how many files, and whether they viewed the originals."""
    counts = Counter(_sign_off(one) for one in done)
    return ". ".join(
        f"{count} {words}" for words, count in sorted(counts.items(), key=lambda item: item[0], reverse=True)
    )


def _sign_off(upload: Upload) -> str:
    signed = upload.review["signed"]
    if signed is None:
        return "not signed off"
    return f"signed off by {signed['by']}; original viewed: {'yes' if signed['original_seen'] else 'no'}"


def settings_in_words(review: dict[str, Any]) -> str:
    """Describe how a file was covered, or that nothing was.

    Args:
        review: with the `line` of the log, whether regions were `sought` and whether some were `painted`.
    """
    line = review["line"]
    if not covers(line):
        looked = "found" if review["sought"] else "painted"
        return f"nothing was {looked}, nothing is covered"
    found = []
    if line.get("classifier"):
        found.append(f"the classifier {line['classifier']} for {line['class']!r}")
    labels = {one["label"] for one in line.get("detections", [])}
    labels |= {track["label"] for track in line.get("film", {}).get("tracks", [])}
    if labels:
        found.append(f"detections of {', '.join(sorted(labels))}")
    if review["painted"] or not found:
        found.append("painted regions")
    share = 100 * line["region"]["share"]
    size = f"{share:.1f}" if share >= 0.05 else "less than 0.1"
    cosmetic = " (cosmetic)" if line.get("cosmetic") else ""
    return f"{line['style']} over {' and '.join(found)}, {size} % of all pixels{cosmetic}"
