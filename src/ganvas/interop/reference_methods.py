"""Import of reference PyTorch pix2pix, CUT and CycleGAN checkpoints as methods."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from ganvas.errors import ConfigError, RunError
from ganvas.interop.reference_checkpoint import REFERENCE_DROPOUT, ReferenceNetwork, describe, read_reference
from ganvas.methods import CUTConfig, CycleGANConfig, Pix2PixConfig, SRResNetConfig
from ganvas.methods.architectures import NUM_LAYERS
from ganvas.methods.base import Method
from ganvas.methods.config import Objective, ReceptiveField
from ganvas.methods.cut.method import CUT
from ganvas.methods.cyclegan.method import CycleGAN
from ganvas.methods.pix2pix.method import Pix2Pix


@dataclass(frozen=True, kw_only=True)
class ImportedMethod:
    """Model of another project as a ganvas method.

    Attributes:
        method: method with the weights; a missing discriminator is new.
        image_size: height and width of the crops on which the reference trains such a network.
        notes: sentences for the user on properties that the files do not record.
    """

    config: Pix2PixConfig | CycleGANConfig | CUTConfig | SRResNetConfig
    method: Method
    input_channels: int
    output_channels: int
    image_size: tuple[int, int]
    notes: tuple[str, ...]


def import_reference(
    *paths: Path, dropout: float | None = None, objective: Objective = "vanilla", l1_weight: float = 100.0
) -> ImportedMethod:
    """Read a generator's checkpoint and, if given, its discriminator's, in any order.

    The method has the variant "pytorch", so its training steps equal the reference's too.

    Args:
        paths: the files.
        dropout: the rate of the generator's dropout, if its file does not determine it; unset: none.
        objective: objective of further training, which files do not record. Wasserstein has no gradient penalty, as in
            the reference.
        l1_weight: L1 weight of further training, which files do not record.

    Raises:
        RunError: a file cannot be read, or does not contain the expected network.
    """
    training = Pix2PixConfig(objective=objective, l1_weight=l1_weight, gradient_penalty=0.0, variant="pytorch")
    networks = {path: read_reference(path) for path in paths}
    generators = [path for path, network in networks.items() if network.is_generator]
    discriminators = [path for path, network in networks.items() if not network.is_generator]
    if len(generators) != 1 or len(discriminators) > 1:
        found = ", ".join(f"{path.name} is a {network.kind}" for path, network in networks.items()) or "nothing"
        raise RunError(
            "pass one generator and at most one discriminator, or the generators and optionally the discriminators of "
            f"a CycleGAN; given: {found}"
        )
    notes = [f"{path.name}: {describe(network)}" for path, network in networks.items()]
    generator = networks[generators[0]]
    rate, note = choose_dropout(generator, given=dropout, path=generators[0])
    notes += note
    if generator.antialias:
        return assemble_cut(generator, dropout=rate, path=generators[0], notes=tuple(notes))
    if not discriminators:
        notes.append("no discriminator was given: further training starts with a new one")
        return assemble_pix2pix(generator, None, replace(training, dropout=rate), notes=tuple(notes))
    check_discriminator(generator, networks[discriminators[0]], path=discriminators[0])
    return assemble_pix2pix(generator, networks[discriminators[0]], replace(training, dropout=rate), notes=tuple(notes))


def choose_dropout(generator: ReferenceNetwork, *, given: float | None, path: Path) -> tuple[float, list[str]]:
    """Return the dropout rate to use, and notes for the user."""
    if generator.dropout is not None:
        if given not in (None, generator.dropout):
            raise RunError(
                f"{path}: its parameter names imply dropout {generator.dropout}, not {given}; leave dropout unset"
            )
        return generator.dropout, []
    if given is not None:
        return given, []
    return 0.0, [
        f"{path.name}: a U-Net's file does not record whether it was trained with dropout; assumed without, "
        f"set dropout to {REFERENCE_DROPOUT} if it was (the reference's default for pix2pix)"
    ]


def assemble_cut(generator: ReferenceNetwork, *, dropout: float, path: Path, notes: tuple[str, ...]) -> ImportedMethod:
    """Build a CUT method from a generator, with a new discriminator and new patch heads.

    Raises:
        RunError: CUT does not support the generator.
    """
    if dropout > 0:
        raise RunError(f"{path}: CUT's generator with dropout in its residual blocks, which is not supported")
    config = CUTConfig(width=generator.width, residual_blocks=generator.count, norm=generator.norm)
    size, channels = image_size_of(generator), (generator.input_channels, generator.output_channels)
    try:
        method = CUT(config, input_channels=channels[0], output_channels=channels[1], image_size=size)
    except ConfigError as error:
        raise RunError(f"{path}: CUT does not support the checkpoint's network: {error}") from error
    method.generator.load_state_dict(generator.weights)
    notes = (*notes, "imported as CUT: further training starts with a new discriminator and new patch heads")
    return _imported(config, method, generator, notes)


def assemble_pix2pix(
    generator: ReferenceNetwork,
    discriminator: ReferenceNetwork | None,
    training: Pix2PixConfig,
    *,
    notes: tuple[str, ...],
) -> ImportedMethod:
    """Build a pix2pix method from both networks.

    Raises:
        RunError: pix2pix does not support them.
    """
    size, channels = image_size_of(generator), (generator.input_channels, generator.output_channels)
    try:
        blocks = 9 if generator.kind == "unet" else generator.count
        config = replace(training, **_architecture(generator, discriminator), residual_blocks=blocks)
        method = Pix2Pix(config, input_channels=channels[0], output_channels=channels[1], image_size=size)
    except ConfigError as error:
        raise RunError(f"pix2pix does not support the checkpoint's network: {error}") from error
    method.generator.load_state_dict(generator.weights)
    if discriminator is not None:
        method.discriminator.load_state_dict(discriminator.weights)
    return _imported(config, method, generator, notes)


def _architecture(generator: ReferenceNetwork, discriminator: ReferenceNetwork | None) -> dict[str, Any]:
    """Return the config fields of the networks that pix2pix and CycleGAN share."""
    is_unet = generator.kind == "unet"
    return {
        "generator": "unet" if is_unet else "resnet",
        "width": generator.width,
        "depth": generator.count if is_unet else None,
        "norm": generator.norm,
        "receptive_field": receptive_field_of(discriminator),
        "discriminator_width": generator.width if discriminator is None else discriminator.width,
    }


def _imported(
    config: Pix2PixConfig | CycleGANConfig | CUTConfig,
    method: Method,
    generator: ReferenceNetwork,
    notes: tuple[str, ...],
) -> ImportedMethod:
    """Return the loaded method with channels and image size of its (first) generator."""
    return ImportedMethod(
        config=config,
        method=method,
        input_channels=generator.input_channels,
        output_channels=generator.output_channels,
        image_size=image_size_of(generator),
        notes=notes,
    )


def check_discriminator(generator: ReferenceNetwork, discriminator: ReferenceNetwork, *, path: Path) -> None:
    """Raise RunError unless a pix2pix method supports both networks."""
    together = generator.input_channels + generator.output_channels
    if discriminator.input_channels == generator.output_channels:
        raise RunError(
            f"{path}: scores outputs only, as in CycleGAN; pass all four files of a CycleGAN, or a single one"
        )
    if discriminator.input_channels != together:
        raise RunError(f"{path}: scores {discriminator.input_channels} channels, but input and output have {together}")
    if discriminator.norm != generator.norm:
        raise RunError(
            f"{path}: its norm is {discriminator.norm}, the generator's {generator.norm}; import them one by one"
        )
    check_layers(discriminator, path=path)


def check_layers(discriminator: ReferenceNetwork, *, path: Path) -> None:
    """Raise RunError unless the methods support such a discriminator."""
    if discriminator.kind == "patchgan" and discriminator.count not in NUM_LAYERS.values():
        raise RunError(f"{path}: {discriminator.count} strided layers, more than 5; import them one by one")


def receptive_field_of(discriminator: ReferenceNetwork | None) -> ReceptiveField:
    """Return the receptive field of a discriminator; without one, the reference's default."""
    if discriminator is None:
        return 70
    fields = {1: 0, **NUM_LAYERS}
    field: ReceptiveField = next(field for field in get_args(ReceptiveField) if fields[field] == discriminator.count)
    return field


def image_size_of(generator: ReferenceNetwork) -> tuple[int, int]:
    """Return height and width of the pictures on which the reference trains such a generator."""
    side = max(128, 2**generator.count) if generator.kind == "unet" else 128 if generator.count <= 6 else 256
    return side, side


NETWORK_NAMES = {"G_A": "a_to_b", "G_B": "b_to_a", "D_A": "discriminator_b", "D_B": "discriminator_a"}
"""Name in the reference -> attribute of `CycleGAN`: D_A of the reference scores the output of G_A, that is, pictures of
b."""
AS_RELEASED = CycleGANConfig(identity_weight=0.5, variant="pytorch")
"""Default training settings of the reference, which files do not record."""

Networks = Mapping[str, ReferenceNetwork]
"""Attribute of `CycleGAN` -> network."""


def import_cyclegan(
    *paths: Path, dropout: float | None = None, training: CycleGANConfig = AS_RELEASED
) -> ImportedMethod:
    """Read both generators' checkpoints and, if given, both discriminators', in any order.

    Args:
        paths: the files, with the names of the reference: `*_net_G_A.pth`, G_B, D_A, D_B.
        dropout: the rate of U-Nets' dropout, which no file records; unset: none.
        training: losses, weights and pool of further training, which files do not record.

    Raises:
        RunError: a file cannot be read, its name does not give its role, or they do not belong together.
    """
    # 1. File names determine the roles, because the networks of both directions look alike.
    files = by_role(paths)
    networks = {role: read_reference(path) for role, path in files.items()}
    check_together(files, networks)
    # 2. Report the recognized networks, and the properties that no file records.
    notes = [f"{path.name}: {describe(networks[role])}, here {role}" for role, path in files.items()]
    rate, note = choose_dropout(networks["a_to_b"], given=dropout, path=files["a_to_b"])
    notes += note
    if "discriminator_a" not in networks:
        notes.append("no discriminators were given: further training starts with new ones")
    return assemble_cyclegan(networks, replace(training, dropout=rate), notes=tuple(notes))


def by_role(paths: tuple[Path, ...]) -> dict[str, Path]:
    """Return the path of each network by its attribute of `CycleGAN`, recognized from the file names.

    Raises:
        RunError: a name has no role, two names have the same role, or one is missing.
    """
    files: dict[str, Path] = {}
    for path in paths:
        named = re.search(r"(?:^|[_-])([GD]_[AB])$", path.stem)
        if named is None:
            raise RunError(
                f"{path}: only the file name tells which network of a CycleGAN it holds; "
                "name it as the reference does, *_net_G_A.pth, G_B, D_A or D_B"
            )
        role = NETWORK_NAMES[named[1]]
        if role in files:
            raise RunError(f"{path} and {files[role]} are both {named[1]} by name; pass one of them")
        files[role] = path
    if set(files) not in ({"a_to_b", "b_to_a"}, set(NETWORK_NAMES.values())):
        given = ", ".join(path.name for path in paths)
        raise RunError(f"a CycleGAN is G_A and G_B, with D_A and D_B or without both; given: {given}")
    return files


def check_together(files: Mapping[str, Path], networks: Networks) -> None:
    """Raise RunError unless one CycleGAN supports all networks."""
    for role, network in networks.items():
        if network.is_generator != (role in CycleGAN.generators):
            raise RunError(f"{files[role]}: named as {role}, but it holds a {describe(network)}")
        if network.antialias:
            raise RunError(f"{files[role]}: CUT's generator, which translates in one direction; import it alone")
        check_layers(network, path=files[role])
    generator = networks["a_to_b"]
    a, b = generator.input_channels, generator.output_channels
    # Both generators must have equal properties, and so must both discriminators: one config builds each pair.
    channels = {"a_to_b": (a, b), "b_to_a": (b, a), "discriminator_a": (a, 1), "discriminator_b": (b, 1)}
    for role, network in networks.items():
        like = generator if network.is_generator else networks["discriminator_a"]
        fits = (network.input_channels, network.output_channels) == channels[role]
        if not fits or make(network) != make(like) or network.norm != generator.norm:
            raise RunError(
                f"{files[role]}: {describe(network)}; it does not match {describe(like)}; import them one by one"
            )


def make(network: ReferenceNetwork) -> tuple[object, ...]:
    """Return the properties that must be equal in both generators, or both discriminators, of a CycleGAN."""
    return network.kind, network.width, network.count, network.norm, network.dropout


def assemble_cyclegan(networks: Networks, training: CycleGANConfig, *, notes: tuple[str, ...]) -> ImportedMethod:
    """Build a CycleGAN method from all networks.

    Raises:
        RunError: CycleGAN does not support them.
    """
    generator, discriminator = networks["a_to_b"], networks.get("discriminator_a")
    channels = (generator.input_channels, generator.output_channels)
    try:
        config = replace(
            training,
            **_architecture(generator, discriminator),
            residual_blocks=None if generator.kind == "unet" else generator.count,
            identity_weight=training.identity_weight if channels[0] == channels[1] else 0.0,
        )
        method = CycleGAN(
            config, input_channels=channels[0], output_channels=channels[1], image_size=image_size_of(generator)
        )
    except ConfigError as error:
        raise RunError(f"CycleGAN does not support the checkpoints' networks: {error}") from error
    for role, network in networks.items():
        getattr(method, role).load_state_dict(network.weights)
    return _imported(config, method, generator, notes)
