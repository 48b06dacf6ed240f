"""The networks of a CycleGAN of the reference PyTorch code as one method of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ganvas.errors import ConfigError, RunError
from ganvas.interop.reference_checkpoint import ReferenceNetwork, describe, read_reference
from ganvas.interop.reference_pix2pix import (
    ImportedMethod,
    check_layers,
    choose_dropout,
    image_size_of,
    receptive_field_of,
)
from ganvas.methods.config import CycleGANConfig
from ganvas.methods.cyclegan.method import CycleGAN

OURS = {"G_A": "a_to_b", "G_B": "b_to_a", "D_A": "judge_b", "D_B": "judge_a"}
"""Their name of a network -> ours: their D_A judges what G_A makes, so the pictures of b."""
AS_RELEASED = CycleGANConfig(identity_weight=0.5, variant="pytorch")
"""What no file tells, as the reference trains unless told otherwise."""

Networks = Mapping[str, ReferenceNetwork]
"""By our names."""


def import_cyclegan(
    *paths: Path, dropout: float | None = None, training: CycleGANConfig = AS_RELEASED
) -> ImportedMethod:
    """Read both generators' checkpoints and, if given, both discriminators', in any order.

    Args:
        paths: the files, named as the reference names them: `*_net_G_A.pth`, G_B, D_A, D_B.
        dropout: the rate of U-Nets' dropout, which no file tells; unset: none.
        training: to train on with: its losses, weights and pool, which no file tells.

    Raises:
        RunError: a file cannot be read, its name does not tell its role, or they do not belong together.
    """
    files = by_role(paths)
    networks = {role: read_reference(path) for role, path in files.items()}
    check_together(files, networks)
    notes = [f"{path.name}: {describe(networks[role])}, here {role}" for role, path in files.items()]
    rate, note = choose_dropout(networks["a_to_b"], asked=dropout, path=files["a_to_b"])
    notes += note
    if "judge_a" not in networks:
        notes.append("no discriminators were given: further training begins with new ones")
    return assemble(networks, replace(training, dropout=rate), notes=tuple(notes))


def by_role(paths: tuple[Path, ...]) -> dict[str, Path]:
    """Our name of each file's network, told from the file's name.

    Raises:
        RunError: a name tells no role, two tell the same, or one is missing.
    """
    files: dict[str, Path] = {}
    for path in paths:
        named = re.search(r"(?:^|[_-])([GD]_[AB])$", path.stem)
        if named is None:
            raise RunError(
                f"{path}: which of a CycleGAN's networks this is, only its name can tell; "
                "name it as the reference does, *_net_G_A.pth, G_B, D_A or D_B"
            )
        role = OURS[named[1]]
        if role in files:
            raise RunError(f"{path} and {files[role]} are both {named[1]} by name; give one of them")
        files[role] = path
    if set(files) not in ({"a_to_b", "b_to_a"}, set(OURS.values())):
        given = ", ".join(path.name for path in paths)
        raise RunError(f"a CycleGAN is G_A and G_B, with D_A and D_B or without both; given: {given}")
    return files


def check_together(files: Mapping[str, Path], networks: Networks) -> None:
    """Raise RunError unless one CycleGAN can hold all networks."""
    for role, network in networks.items():
        if network.is_generator != (role in CycleGAN.generators):
            raise RunError(f"{files[role]}: by its name it is {role}, but it holds a {describe(network)}")
        if network.antialias:
            raise RunError(f"{files[role]}: CUT's generator, which learns one way; import it alone")
        check_layers(network, path=files[role])
    forth = networks["a_to_b"]
    a, b = forth.input_channels, forth.output_channels
    channels = {"a_to_b": (a, b), "b_to_a": (b, a), "judge_a": (a, 1), "judge_b": (b, 1)}
    for role, network in networks.items():
        like = forth if network.is_generator else networks["judge_a"]
        fits = (network.input_channels, network.output_channels) == channels[role]
        if not fits or make(network) != make(like) or network.norm != forth.norm:
            raise RunError(
                f"{files[role]}: {describe(network)}; it does not go with {describe(like)}; import them one by one"
            )


def make(network: ReferenceNetwork) -> tuple[object, ...]:
    """All that two generators, or two discriminators, of one CycleGAN have in common."""
    return network.kind, network.width, network.count, network.norm, network.dropout


def assemble(networks: Networks, training: CycleGANConfig, *, notes: tuple[str, ...]) -> ImportedMethod:
    """The method that holds them all."""
    forth, judge = networks["a_to_b"], networks.get("judge_a")
    is_unet, size = forth.kind == "unet", image_size_of(forth)
    try:
        config = replace(
            training,
            generator="unet" if is_unet else "resnet",
            width=forth.width,
            depth=forth.count if is_unet else None,
            residual_blocks=None if is_unet else forth.count,
            norm=forth.norm,
            receptive_field=receptive_field_of(judge),
            discriminator_width=forth.width if judge is None else judge.width,
            identity_weight=training.identity_weight if forth.input_channels == forth.output_channels else 0.0,
        )
        channels = (forth.input_channels, forth.output_channels)
        method = CycleGAN(config, input_channels=channels[0], output_channels=channels[1], image_size=size)
    except ConfigError as error:
        raise RunError(f"the checkpoints' networks are none that CycleGAN can hold: {error}") from error
    for role, network in networks.items():
        getattr(method, role).load_state_dict(network.weights)
    return ImportedMethod(
        config=config,
        method=method,
        input_channels=channels[0],
        output_channels=channels[1],
        image_size=size,
        notes=notes,
    )
