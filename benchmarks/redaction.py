"""Redaction of pictures with and without a class: number of pictures changed, number that pass, and covered area.

    python benchmarks/redaction.py ../shared/data/horse2zebra/testB --classifier imagenet --class-name zebra

Writes only a JSON file; the pictures are covered in memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from ganvas.image.files import list_images, read_image
from ganvas.localization import load_classifier
from ganvas.redaction.redact import Redaction, redact_picture
from ganvas.redaction.verifier import Verifier


def summarize(redactions: list[Redaction], verifier: Verifier) -> dict[str, float | int]:
    touched = [redaction for redaction in redactions if redaction.region.any()]
    shares = [float(redaction.region.mean()) for redaction in touched] or [0.0]
    after = [redaction.score_after for redaction in redactions if redaction.score_after]
    return {
        "pictures": len(redactions),
        "touched": len(touched),
        "whole": sum(redaction.whole for redaction in touched),
        "median_share_of_touched": round(float(np.median(shares)), 3),
        "median_rounds_of_touched": float(np.median([redaction.widened for redaction in touched] or [0])),
        "passing_after": sum(verifier.passes(scores) for scores in after),
        "highest_record_after": round(max(scores.record for scores in after), 4),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--classifier", default="nsfw")
    parser.add_argument("--class-name")
    parser.add_argument("--every", type=int, default=1, help="use every n-th picture")
    parser.add_argument("--out", type=Path, default=Path("redaction.json"))
    given = parser.parse_args()
    verifier = Verifier.of(load_classifier(given.classifier), given.class_name)
    start = time.perf_counter()
    paths = list_images(given.folder, recursive=True)[:: given.every]
    redactions = [
        redact_picture(read_image(path), verifier=verifier)
        for path in track(paths, "redacting", console=Console(stderr=True))
    ]
    record = {"folder": given.folder.name, "class": verifier.class_name, **summarize(redactions, verifier)}
    record["seconds_a_picture"] = round((time.perf_counter() - start) / len(paths), 2)
    given.out.write_text(json.dumps(record, indent=2) + "\n")
    Console().print(record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
