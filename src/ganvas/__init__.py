"""ganvas: image-to-image translation with GANs, class activation maps and redaction.

    import ganvas

    restored = ganvas.load("runs/flowers")(ganvas.read_image("mosaic.png"))
    ganvas.write_image("restored.png", restored)

Names load their modules when first used, so that `import ganvas` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganvas.api import (
        audit,
        benchmark,
        compare,
        demo,
        density,
        doctor,
        evaluate,
        import_reference,
        load,
        locate,
        prepare,
        redact,
        resume,
        sample,
        train,
        translate,
    )
    from ganvas.data.config import PairedData, UnpairedData
    from ganvas.errors import GanvasError
    from ganvas.image.files import read_image, write_image
    from ganvas.image.picture import Picture
    from ganvas.methods.config import (
        CoGANConfig,
        CUTConfig,
        CycleGANConfig,
        DiscoGANConfig,
        DomainGANConfig,
        DualGANConfig,
        Pix2PixConfig,
        SRGANConfig,
        SRResNetConfig,
        UNITConfig,
        VAEConfig,
        VAEGANConfig,
    )
    from ganvas.training.config import RunConfig, TrainingConfig

__version__ = "0.1.0.dev0"

_HOMES = {
    "audit": "ganvas.api",
    "benchmark": "ganvas.api",
    "compare": "ganvas.api",
    "demo": "ganvas.api",
    "density": "ganvas.api",
    "doctor": "ganvas.api",
    "evaluate": "ganvas.api",
    "import_reference": "ganvas.api",
    "load": "ganvas.api",
    "locate": "ganvas.api",
    "prepare": "ganvas.api",
    "redact": "ganvas.api",
    "resume": "ganvas.api",
    "sample": "ganvas.api",
    "train": "ganvas.api",
    "translate": "ganvas.api",
    "PairedData": "ganvas.data.config",
    "UnpairedData": "ganvas.data.config",
    "GanvasError": "ganvas.errors",
    "read_image": "ganvas.image.files",
    "write_image": "ganvas.image.files",
    "Picture": "ganvas.image.picture",
    "CUTConfig": "ganvas.methods.config",
    "CoGANConfig": "ganvas.methods.config",
    "UNITConfig": "ganvas.methods.config",
    "CycleGANConfig": "ganvas.methods.config",
    "SRGANConfig": "ganvas.methods.config",
    "SRResNetConfig": "ganvas.methods.config",
    "DiscoGANConfig": "ganvas.methods.config",
    "DualGANConfig": "ganvas.methods.config",
    "Pix2PixConfig": "ganvas.methods.config",
    "VAEConfig": "ganvas.methods.config",
    "VAEGANConfig": "ganvas.methods.config",
    "DomainGANConfig": "ganvas.methods.config",
    "RunConfig": "ganvas.training.config",
    "TrainingConfig": "ganvas.training.config",
}

__all__ = [
    "CUTConfig",
    "CoGANConfig",
    "CycleGANConfig",
    "DiscoGANConfig",
    "DomainGANConfig",
    "DualGANConfig",
    "GanvasError",
    "PairedData",
    "Picture",
    "Pix2PixConfig",
    "RunConfig",
    "SRGANConfig",
    "SRResNetConfig",
    "TrainingConfig",
    "UNITConfig",
    "UnpairedData",
    "VAEConfig",
    "VAEGANConfig",
    "__version__",
    "audit",
    "benchmark",
    "compare",
    "demo",
    "density",
    "doctor",
    "evaluate",
    "import_reference",
    "load",
    "locate",
    "prepare",
    "read_image",
    "redact",
    "resume",
    "sample",
    "train",
    "translate",
    "write_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ganvas' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
