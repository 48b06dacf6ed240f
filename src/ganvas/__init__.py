"""ganvas: image-to-image translation with GANs, class activation maps and redaction.

    import ganvas

    restored = ganvas.load("runs/flowers")(ganvas.read_image("mosaic.png"))
    ganvas.write_image("restored.png", restored)

All commands are functions of `ganvas.api`; the configs of the methods are in `ganvas.methods`. Names are imported when
they are first used, so that `import ganvas` is fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganvas.lazy import lazy_names

if TYPE_CHECKING:
    from ganvas.api import (
        compare,
        demo,
        evaluate,
        load,
        locate,
        prepare,
        redact,
        resume,
        train,
        translate,
    )
    from ganvas.data.config import PairedData, UnpairedData
    from ganvas.errors import GanvasError
    from ganvas.image.files import read_image, write_image
    from ganvas.image.picture import Picture
    from ganvas.training.config import RunConfig, TrainingConfig
    from ganvas.video import read_video, write_video
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "api": "compare demo evaluate load locate prepare redact resume train translate",
            "data.config": "PairedData UnpairedData",
            "errors": "GanvasError",
            "image.files": "read_image write_image",
            "image.picture": "Picture",
            "training.config": "RunConfig TrainingConfig",
            "video": "read_video write_video",
        },
    )

__version__ = "0.1.0.dev0"

__all__ = [
    "GanvasError",
    "PairedData",
    "Picture",
    "RunConfig",
    "TrainingConfig",
    "UnpairedData",
    "compare",
    "demo",
    "evaluate",
    "load",
    "locate",
    "prepare",
    "read_image",
    "read_video",
    "redact",
    "resume",
    "train",
    "translate",
    "write_image",
    "write_video",
]


def __dir__() -> list[str]:
    return sorted(__all__)
