"""Export to spandrel (chaiNNer): weights of a run under the parameter names of community restoration models.

spandrel infers architecture and sizes from names and shapes, like `shared_models`, so only networks that these
determine completely can be exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ganvas.errors import ConfigError, RunError
from ganvas.image.ranges import signed_from_unit, unit_from_signed
from ganvas.inference.tiling import translate_padded
from ganvas.interop.esrgan_layouts import old_names
from ganvas.interop.export.job import ExportJob, Floats, Format, Run
from ganvas.interop.reference_files import State
from ganvas.interop.shared_models import find_shared_model, import_shared_model, read_shared_model
from ganvas.methods import Pix2PixConfig, SRResNetConfig
from ganvas.methods.config import SHARED
from ganvas.serialization import save_tensors

GROWTH = 32
"""Growth of an RRDBNet that spandrel assumes."""
INSTEAD = "use another format, such as onnx"


def write_spandrel(job: ExportJob, folder: Path) -> list[Path]:
    """Write `model.safetensors` into a folder, with the metadata of the export, which spandrel ignores.

    Raises:
        ConfigError: spandrel has no such network.
    """
    channels = {"input_channels": job.record.input.channels, "output_channels": job.record.output.channels}
    try:
        config = as_known(job.record.method)
        weights = to_spandrel(config, job.network.method.get_submodule("generator").state_dict(), **channels)
    except ConfigError as error:
        raise ConfigError(f"{job.run}: {error}") from error
    path = folder / "model.safetensors"
    save_tensors(path, weights, job.metadata.to_strings())
    return [path]


def open_spandrel(job: ExportJob, files: Sequence[Path]) -> Run:
    """Return the file as a function: the network that an importer infers from its names and shapes."""
    del job
    model = read_shared_model(files[-1])
    assert model is not None, "what was written is recognized"
    method = import_shared_model(model, files[-1]).method.eval()

    def run(*inputs: Floats) -> Floats:
        with torch.inference_mode():
            made = translate_padded(method, signed_from_unit(torch.from_numpy(inputs[0])))
        result: Floats = unit_from_signed(made).numpy()
        return result

    return run


SPANDREL = Format(
    suffix=".safetensors",
    runtime="the network read back",
    options=frozenset(),
    require=lambda: None,
    write=write_spandrel,
    open=open_spandrel,
)


def as_known(config: object) -> Pix2PixConfig | SRResNetConfig:
    """Return the config of a method if its generator is one of the community architectures.

    Raises:
        ConfigError: the generator is another.
    """
    if isinstance(config, Pix2PixConfig | SRResNetConfig) and config.generator in SHARED:
        return config
    raise ConfigError(
        f"spandrel supports no generator of {type(config).__name__} but rrdb, compact and nafnet; {INSTEAD}"
    )


def to_spandrel(
    config: Pix2PixConfig | SRResNetConfig, weights: State, *, input_channels: int, output_channels: int
) -> State:
    """Return the weights of a run's generator in the layout that spandrel recognizes.

    Args:
        config: config of the run's method, see `as_known`.
        weights: weights of its generator, by their names in `ganvas.networks`.
        input_channels: input channels of a picture.
        output_channels: output channels of a picture.

    Raises:
        ConfigError: spandrel has no such network, or would mistake it for another; gives the reason.
    """
    scale = config.scale if isinstance(config, SRResNetConfig) else 1
    if problem := _difference(config, scale, input_channels, output_channels):
        raise ConfigError(f"spandrel has no such network: {problem}; {INSTEAD}")
    try:
        found = find_shared_model(weights)
    except (RunError, ConfigError) as error:
        raise ConfigError(f"spandrel has no such network: {error}; {INSTEAD}") from error
    sizes = (scale, input_channels, output_channels)
    if found is None or (found.config.scale, found.input_channels, found.output_channels) != sizes:
        raise ConfigError(
            f"spandrel would mistake this network of scale {scale}, {input_channels} to {output_channels} channels, "
            f"for another one: {found}; {INSTEAD}"
        )
    return old_names(weights) if config.dense_skips else dict(weights)


def _difference(
    config: Pix2PixConfig | SRResNetConfig, scale: int, input_channels: int, output_channels: int
) -> str | None:
    """Return the difference from the networks that spandrel supports; None if there is none."""
    if config.frames > 1:
        return f"it takes {config.frames} frames together"
    if config.generator == "rrdb":
        if config.residual:
            return "it adds its enlarged input to its output"
        return None if config.growth == GROWTH else f"its growth is {config.growth}, not {GROWTH}"
    if config.generator == "compact":
        return None if config.activation == "prelu" else f"its activation is {config.activation}, not prelu"
    if scale > 1 or input_channels != output_channels:
        return "a NAFNet keeps size and channels there"
    blocks = (*config.encoder_blocks, config.middle_blocks, *config.decoder_blocks)
    return None if all(blocks) and config.encoder_blocks else "a size without blocks"
