"""Models of the reference PyTorch pix2pix and CycleGAN (`latest_net_G.pth`, `latest_net_D.pth`) as methods of ours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from ganvas.errors import ConfigError, RunError
from ganvas.interop.reference_checkpoint import REFERENCE_DROPOUT, ReferenceNetwork, describe, read_reference
from ganvas.methods.architectures import NUM_LAYERS
from ganvas.methods.base import Method
from ganvas.methods.config import CUTConfig, CycleGANConfig, Objective, Pix2PixConfig, ReceptiveField
from ganvas.methods.cut.method import CUT
from ganvas.methods.pix2pix.method import Pix2Pix


@dataclass(frozen=True, kw_only=True)
class ImportedMethod:
    """A reference model as one of ours.

    Attributes:
        method: holds the weights; a discriminator that was not given is new.
        image_size: height and width that the reference trains such a network on.
        notes: sentences for the user on what the files could not tell.
    """

    config: Pix2PixConfig | CycleGANConfig | CUTConfig
    method: Method
    input_channels: int
    output_channels: int
    image_size: tuple[int, int]
    notes: tuple[str, ...]


def import_reference(
    *paths: Path, dropout: float | None = None, objective: Objective = "vanilla", l1_weight: float = 100.0
) -> ImportedMethod:
    """Read a generator's checkpoint and, if given, its discriminator's, in any order.

    The method is the variant "pytorch": its training steps are the reference's too.

    Args:
        paths: the files.
        dropout: the rate of the generator's dropout, where its file cannot tell; unset: none.
        objective: to train on with; no file tells it. Wasserstein has no gradient penalty, as in the reference.
        l1_weight: to train on with; no file tells it.

    Raises:
        RunError: a file cannot be read, or does not hold what is needed.
    """
    training = Pix2PixConfig(objective=objective, l1_weight=l1_weight, gradient_penalty=0.0, variant="pytorch")
    networks = {path: read_reference(path) for path in paths}
    generators = [path for path, network in networks.items() if network.is_generator]
    judges = [path for path, network in networks.items() if not network.is_generator]
    if len(generators) != 1 or len(judges) > 1:
        found = ", ".join(f"{path.name} is a {network.kind}" for path, network in networks.items()) or "nothing"
        raise RunError(
            "give one generator and at most one discriminator, or the generators, and if wanted the discriminators, of "
            f"a CycleGAN; given: {found}"
        )
    notes = [f"{path.name}: {describe(network)}" for path, network in networks.items()]
    generator = networks[generators[0]]
    rate, note = choose_dropout(generator, asked=dropout, path=generators[0])
    notes += note
    if generator.antialias:
        return assemble_cut(generator, dropout=rate, path=generators[0], notes=tuple(notes))
    if not judges:
        notes.append("no discriminator was given: further training begins with a new one")
        return assemble(generator, None, replace(training, dropout=rate), notes=tuple(notes))
    check_judge(generator, networks[judges[0]], path=judges[0])
    return assemble(generator, networks[judges[0]], replace(training, dropout=rate), notes=tuple(notes))


def choose_dropout(generator: ReferenceNetwork, *, asked: float | None, path: Path) -> tuple[float, list[str]]:
    """The rate to use, and what to tell the user about it."""
    if generator.dropout is not None:
        if asked not in (None, generator.dropout):
            raise RunError(f"{path}: its keys say dropout {generator.dropout}, not {asked}; leave dropout unset")
        return generator.dropout, []
    if asked is not None:
        return asked, []
    return 0.0, [
        f"{path.name}: a U-Net's file does not tell whether it was trained with dropout; taken as without, "
        f"set dropout to {REFERENCE_DROPOUT} if it was (the reference's default for pix2pix)"
    ]


def assemble_cut(generator: ReferenceNetwork, *, dropout: float, path: Path, notes: tuple[str, ...]) -> ImportedMethod:
    """The generator as CUT, whose discriminator and patch heads are new.

    Raises:
        RunError: CUT can hold no such generator.
    """
    if dropout > 0:
        raise RunError(f"{path}: CUT's generator with dropout in its residual blocks, which CUT here does not have")
    config = CUTConfig(width=generator.width, residual_blocks=generator.count, norm=generator.norm)
    size, channels = image_size_of(generator), (generator.input_channels, generator.output_channels)
    try:
        method = CUT(config, input_channels=channels[0], output_channels=channels[1], image_size=size)
    except ConfigError as error:
        raise RunError(f"{path}: the checkpoint's network is none that CUT can hold: {error}") from error
    method.generator.load_state_dict(generator.weights)
    return ImportedMethod(
        config=config,
        method=method,
        input_channels=channels[0],
        output_channels=channels[1],
        image_size=size,
        notes=(*notes, "taken as CUT: further training begins with a new discriminator and new patch heads"),
    )


def assemble(
    generator: ReferenceNetwork, judge: ReferenceNetwork | None, training: Pix2PixConfig, *, notes: tuple[str, ...]
) -> ImportedMethod:
    """The method that holds both."""
    config = config_of(generator, judge, training)
    size, channels = image_size_of(generator), (generator.input_channels, generator.output_channels)
    try:
        method = Pix2Pix(config, input_channels=channels[0], output_channels=channels[1], image_size=size)
    except ConfigError as error:
        raise RunError(f"the checkpoint's network is none that pix2pix can hold: {error}") from error
    method.generator.load_state_dict(generator.weights)
    if judge is not None:
        method.discriminator.load_state_dict(judge.weights)
    return ImportedMethod(
        config=config,
        method=method,
        input_channels=channels[0],
        output_channels=channels[1],
        image_size=size,
        notes=notes,
    )


def config_of(generator: ReferenceNetwork, judge: ReferenceNetwork | None, training: Pix2PixConfig) -> Pix2PixConfig:
    """The settings that build both networks; what no file tells is `training`'s."""
    is_unet = generator.kind == "unet"
    try:
        return replace(
            training,
            generator="unet" if is_unet else "resnet",
            width=generator.width,
            depth=generator.count if is_unet else None,
            residual_blocks=9 if is_unet else generator.count,
            norm=generator.norm,
            receptive_field=receptive_field_of(judge),
            discriminator_width=generator.width if judge is None else judge.width,
        )
    except ConfigError as error:
        raise RunError(f"the checkpoint's network is none that pix2pix can hold: {error}") from error


def check_judge(generator: ReferenceNetwork, judge: ReferenceNetwork, *, path: Path) -> None:
    """Raise RunError unless one pix2pix can hold both networks."""
    together = generator.input_channels + generator.output_channels
    if judge.input_channels == generator.output_channels:
        raise RunError(f"{path}: judges outputs alone, as CycleGAN's does; give all four files of one, or one alone")
    if judge.input_channels != together:
        raise RunError(f"{path}: judges {judge.input_channels} channels, but input and output have {together}")
    if judge.norm != generator.norm:
        raise RunError(f"{path}: its norm is {judge.norm}, the generator's {generator.norm}; import them one by one")
    check_layers(judge, path=path)


def check_layers(judge: ReferenceNetwork, *, path: Path) -> None:
    """Raise RunError unless a method can have such a discriminator."""
    if judge.kind == "patchgan" and judge.count not in NUM_LAYERS.values():
        raise RunError(f"{path}: {judge.count} strided layers, more than 5; import them one by one")


def receptive_field_of(judge: ReferenceNetwork | None) -> ReceptiveField:
    """What makes such a discriminator; without one, the reference's default."""
    if judge is None:
        return 70
    fields = {1: 0, **NUM_LAYERS}
    field: ReceptiveField = next(field for field in get_args(ReceptiveField) if fields[field] == judge.count)
    return field


def image_size_of(generator: ReferenceNetwork) -> tuple[int, int]:
    """Height and width that the reference trains such a generator on."""
    side = max(128, 2**generator.count) if generator.kind == "unet" else 128 if generator.count <= 6 else 256
    return side, side
