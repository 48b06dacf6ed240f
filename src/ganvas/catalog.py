"""Catalog of recipes by task, with advice when to choose each (`ganvas recipes`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ganvas.api import command
from ganvas.errors import ConfigError
from ganvas.recipes import recipe_summary, recipes

__all__ = ["CHOICES", "Catalog", "RecipesConfig", "list_recipes"]

CHOICES: dict[str, dict[str, str]] = {
    "Pairs of aligned pictures": {
        "pix2pix": "the first choice for pairs that correspond pixel by pixel",
        "pix2pix_hd": "pictures of 512 pixels and more, at several times the cost of a step",
        "facades": "to repeat the paper's experiment on facades",
        "facades_port": "to compare with the PyTorch port on facades",
    },
    "Restoration and super-resolution: one folder, pairs are made from it": {
        "restore": "mosaics, blur or coarse pixels of a known strength",
        "real_restoration_l1": "photographs with unknown defects (blur, noise, JPEG), enlarged or at the same size",
        "real_restoration": "after real_restoration_l1, if sharpness matters more than fidelity",
        "srresnet_modern": "clean small pictures to enlarge, if fidelity matters",
        "srgan_modern": "after srresnet_modern, if sharpness matters more than fidelity",
        "srresnet": "to repeat the paper; srresnet_modern converges faster",
        "srgan": "to repeat the paper, after srresnet",
    },
    "Two folders without pairs": {
        "cyclegan": "the first choice without pairs; learns both directions",
        "cut": "one direction, with half of the networks of CycleGAN",
        "fastcut": "one direction, in less time and memory than cut",
        "unit": "both domains show the same content; also samples pairs from noise",
        "dualgan": "to compare with CycleGAN: Wasserstein critics, dropout as noise",
        "discogan": "small pictures whose shape may change",
        "cogan": "digits and other small pictures; samples corresponding pairs from noise",
        "domain_gan": "small pictures, one generator for both domains",
        "horse2zebra": "to repeat the paper's experiment on horses and zebras",
        "horse2zebra_port": "to compare with the PyTorch port on horses and zebras",
        "cut_port": "to compare with the released code",
        "unit_port": "to compare with the released code",
        "dualgan_port": "to compare with the released code",
        "discogan_port": "to compare with the released code",
        "cogan_port": "to compare with the released code",
    },
    "One folder: samples from noise": {
        "vae": "to study latent codes; outputs are smooth",
        "vae_gan": "to study latent codes with sharper outputs",
    },
}
"""Task -> recipe -> when to choose it; the first choices come first."""
PLUGINS = "Recipes of installed packages"
Entry = tuple[str, str]
"""Description of a recipe, and when to choose it."""


@dataclass(frozen=True)
class RecipesConfig:
    """List of recipes."""

    words: tuple[str, ...] = ()
    """List only the recipes whose task, name or description contains each of these words."""


@dataclass(frozen=True)
class Catalog:
    """Recipes by task.

    Attributes:
        tasks: task -> recipe -> description and when to choose it; the latter is empty for recipes of other packages.
    """

    tasks: dict[str, dict[str, Entry]]

    def __str__(self) -> str:
        sections = ["\n".join(self._lines(task)) for task in self.tasks]
        return "\n\n".join([*sections, "`ganvas train RECIPE --help` lists the settings of a recipe."])

    def _lines(self, task: str) -> Iterator[str]:
        yield task
        for name, (description, choice) in self.tasks[task].items():
            yield f"  {name}: {description}"
            if choice:
                yield f"      when: {choice}"


@command(RecipesConfig)
def list_recipes(config: RecipesConfig) -> Catalog:
    """List the recipes by task, and when to choose each."""
    known = recipes()
    advised = {name for choices in CHOICES.values() for name in choices}
    tasks = CHOICES | {PLUGINS: {name: "" for name in known if name not in advised}}
    words = " ".join(config.words).casefold().split()
    found: dict[str, dict[str, Entry]] = {}
    for task, choices in tasks.items():
        for name, choice in choices.items():
            entry = recipe_summary(known[name]), choice
            text = " ".join((task, name, *entry)).casefold()
            if all(word in text or word.replace("-", "_") in text for word in words):
                found.setdefault(task, {})[name] = entry
    if not found:
        raise ConfigError(f"no recipe contains {' and '.join(map(repr, config.words))}; `ganvas recipes` lists all")
    return Catalog(found)
