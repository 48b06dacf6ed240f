"""Train pix2pix from Python on a folder of photographs, then restore one of them.

python examples/train_and_translate.py PHOTOS OUT
"""

import sys
from dataclasses import replace
from pathlib import Path

import ganvas
from ganvas.recipes import restore


def main(photos: Path, out: Path, *, epochs: float = 100.0) -> Path:
    """Train on PHOTOS/train, then cover the first picture of PHOTOS/test with a mosaic and restore it."""
    config = restore()
    config = replace(
        config,
        data=replace(config.data, folder=photos, resize="none"),
        training=replace(config.training, epochs=epochs),
    )
    print(ganvas.train(config, out / "run"))

    from ganvas.image.cover import mosaic

    original = ganvas.read_image(sorted((photos / "test").iterdir())[0])
    covered = ganvas.Picture(mosaic(original.color, 8))
    restored = ganvas.load(out / "run")(covered)
    ganvas.write_image(out / "covered.png", covered)
    ganvas.write_image(out / "restored.png", restored)
    return out / "restored.png"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
