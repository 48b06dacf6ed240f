"""Time of the content gate in a separate process: every picture is read and scored, then scored from the cache."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch

from ganvas.content_gate.gate import admit, load_scorer
from ganvas.image.files import list_images, read_image
from measure.child import given_words


def main() -> None:
    """Print the seconds for loading the scorer, for reading, for scoring, and for scoring from the cache."""
    given = given_words()
    torch.set_num_threads(given["threads"])
    start = time.perf_counter()
    load_scorer()
    loaded = time.perf_counter()
    paths = [path for folder in given["folders"] for path in list_images(Path(folder), recursive=True)]
    pictures = [(path.name, read_image(path)) for path in paths]
    read = time.perf_counter()
    for name, picture in pictures:
        admit(picture, name=name)
    scored = time.perf_counter()
    for name, picture in pictures:
        admit(picture, name=name)
    known = time.perf_counter()
    seconds = {"load": loaded - start, "read": read - loaded, "score": scored - read, "known": known - scored}
    print(json.dumps({"pictures": len(pictures), **seconds}))


if __name__ == "__main__":
    main()
