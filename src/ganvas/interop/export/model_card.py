"""Model card of a published run: README.md for the Hugging Face Hub, with YAML front matter.

The card describes the training data and settings of the run; it names no folder, file or user of the training machine.
https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganvas.data.config import PairedData
from ganvas.image.picture import PictureSpec
from ganvas.methods.base import Method
from ganvas.methods.config import Direction
from ganvas.metrics.fidelity import TITLES
from ganvas.runs.published import PublishedRun
from ganvas.runs.record import RunRecord
from ganvas.serialization import read_json

__all__ = ["Card", "Measured", "model_card", "read_measured"]

HOME = "https://github.com/ganvas/ganvas"
LICENSES = {
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bigcode-openrail-m", "bigscience-openrail-m", "bsd",
    "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "bsl-1.0", "c-uda", "cc", "cc-by-2.0", "cc-by-2.5",
    "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc0-1.0", "creativeml-openrail-m", "ecl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1", "gfdl", "gpl", "gpl-2.0",
    "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl", "openrail",
    "openrail++", "osl-3.0", "pddl", "postgresql", "unlicense", "wtfpl", "zlib",
}  # fmt: skip
"""Identifiers of the Hub (https://huggingface.co/docs/hub/repositories-licenses)."""
SPLITS = ("test", "val")
"""Splits whose evaluation a card may show, the preferred first; figures on training pictures are not meaningful."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Figures of `ganvas evaluate`.

    Attributes:
        split: test or val.
        pictures: number of measured pictures.
        output: metric -> mean over the run's outputs.
        baseline: metric -> mean over the unchanged inputs; empty if they cannot be compared with the targets.
    """

    split: str
    pictures: int
    output: Mapping[str, float]
    baseline: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Card:
    """Content of a card.

    Attributes:
        title: name of the model.
        address: address for `ganvas.load`.
        record: the record of the run, with its training data and settings.
        method: the method, for its capabilities.
        published: the content of `config.json`.
        measured: its evaluation, if there is one of this snapshot.
        examples: (input, translation) as paths inside the folder.
    """

    title: str
    address: str
    record: RunRecord
    method: Method
    published: PublishedRun
    measured: Measured | None = None
    examples: Sequence[tuple[str, str]] = ()

    @property
    def method_name(self) -> str:
        """Return the name of the method, such as CycleGAN."""
        return type(self.record.method).__name__.removesuffix("Config")


def read_measured(run: Path, *, snapshot: str, images_seen: int, direction: Direction) -> Measured | None:
    """Return the figures of the newest `ganvas evaluate` of this snapshot, or None.

    Args:
        run: the run folder.
        snapshot: name of the snapshot that is published.
        images_seen: training images up to the snapshot; reports on earlier states are ignored.
        direction: direction of the translation.
    """
    for split in SPLITS:
        try:
            report = read_json(run / "evaluation" / split / "evaluation.json")
        except (OSError, ValueError):
            continue
        same = {"snapshot": snapshot, "images_seen": images_seen, "direction": direction, "split": split}
        if isinstance(report, dict) and all(report.get(name) == value for name, value in same.items()):
            output, baseline = _means(report.get("output")), _means(report.get("baseline"))
            if output:
                return Measured(split=split, pictures=len(report["pictures"]), output=output, baseline=baseline)
    return None


def _means(summaries: Any) -> dict[str, float]:
    """Return metric -> mean, for the metrics that have one."""
    given = summaries.items() if isinstance(summaries, dict) else ()
    means = {name: summary.get("mean") for name, summary in given if name in TITLES and isinstance(summary, dict)}
    return {name: mean for name, mean in means.items() if isinstance(mean, float)}


def model_card(card: Card) -> str:
    """Return the text of README.md."""
    front = "\n".join(_yaml(_front_matter(card)))
    sections = [
        (None, _summary(card)),
        ("Use", _use(card)),
        ("Examples", _examples(card)),
        ("Input and output", _pictures(card)),
        ("Intended use", INTENDED),
        ("Out-of-scope use", OUT_OF_SCOPE),
        ("Training data", training_data(card.record)),
        ("Training", _training(card)),
        ("Evaluation", _evaluation(card)),
        ("Limitations", _limitations(card)),
        ("Content gate", GATE),
        ("License", _license(card.published.license)),
    ]
    body = "\n\n".join(f"## {title}\n\n{text}" if title else text for title, text in sections if text)
    return f"---\n{front}\n---\n\n# {card.title}\n\n{body}\n"


def _front_matter(card: Card) -> dict[str, Any]:
    """Return the metadata of the card in the format of the Hub."""
    license_id = card.published.license
    front: dict[str, Any] = {"library_name": "ganvas", "pipeline_tag": "image-to-image"}
    front |= _license_entry(license_id)
    front["tags"] = ["ganvas", "image-to-image", "gan", card.method_name.lower().replace("_", "-")]
    front["tags"] += ["super-resolution"] * (card.method.scale > 1)
    front["tags"] += ["video"] * (card.method.num_frames > 1)
    if card.measured:
        metrics = [
            {"type": name, "name": TITLES[name], "value": round(value, 4)}
            for name, value in card.measured.output.items()
        ]
        dataset = {"name": f"Image pairs ({card.measured.split} split)", "type": "image-pairs"}
        task = {"type": "image-to-image", "name": "Image-to-image translation"}
        front["model-index"] = [
            {"name": card.title, "results": [{"task": task, "dataset": dataset, "metrics": metrics}]}
        ]
    return front


def _license_entry(license_id: str | None) -> dict[str, str]:
    """Return the license for the Hub: one of its identifiers, or the name of any other license."""
    if license_id is None:
        return {"license": "other", "license_name": "not-stated"}
    if license_id.lower() in LICENSES:
        return {"license": license_id.lower()}
    name = re.sub(r"[^a-z0-9.]+", "-", license_id.lower())[:60].strip("-.")
    return {"license": "other", "license_name": name or "custom"}


def _yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield a mapping as lines of YAML; each scalar is JSON, which YAML contains."""
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield f"{indent}{key}:"
            yield from _yaml(item, indent + "  ")
        elif isinstance(item, list):
            yield f"{indent}{key}:"
            for one in item:
                lines = list(_yaml(one, indent + "  ")) if isinstance(one, Mapping) else [f"{indent}  {_scalar(one)}"]
                yield f"{indent}- {lines[0].lstrip()}"
                yield from lines[1:]
        else:
            yield f"{indent}{key}: {_scalar(item)}"


def _scalar(value: str | float) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _plain(text: str) -> str:
    """Escape text for Markdown."""
    return re.sub(r"([\\`*_\[\]<>&#|~])", r"\\\1", text)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _summary(card: Card) -> str:
    enlarges = f", enlarging it {card.method.scale} times" if card.method.scale > 1 else ""
    return (
        f"A {card.method_name} generator that translates a picture into another picture{enlarges}, trained with\n"
        f"[ganvas]({HOME}).\n\n"
        "> **Outputs are synthetic.** What the model adds is invented; label its outputs as synthetic pictures, as\n"
        "> ganvas does."
    )


def _use(card: Card) -> str:
    back = ""
    if len(card.method.directions) > 1:
        back = (
            '\n\nThe model also translates back: `direction="b_to_a"` in Python, `--direction b_to_a` for the command.'
        )
    return (
        f"Install [ganvas]({HOME}) with its extra `hub`, then in Python\n\n"
        "```python\nimport ganvas\n\n"
        f"translate = ganvas.load({json.dumps(card.address)})\n"
        'picture = translate(ganvas.read_image("input.png"))\n'
        'ganvas.write_image("output.png", picture)\n```\n\n'
        f"or for a picture, a film or a folder\n\n```\nganvas translate {card.address} INPUT OUTPUT\n```{back}"
    )


def _examples(card: Card) -> str:
    if not card.examples:
        return ""
    rows = [[f"![input]({given})", f"![synthetic translation]({made})"] for given, made in card.examples]
    return "The right pictures are synthetic.\n\n" + _table(["input", "translation (synthetic)"], rows)


def _pictures(card: Card) -> str:
    method, record = card.method, card.record
    frames = f", {method.num_frames} successive frames of a film together" if method.num_frames > 1 else ""
    rows = [
        ["input", _described(record.input) + frames],
        ["output", _described(record.output)],
        ["scale", f"{method.scale} x" if method.scale > 1 else "the size of the input"],
        ["sizes", "any; ganvas pads and crops" + _multiple(method.size_multiple)],
        ["tiles", _tiles(method.context)],
        ["directions", ", ".join(method.directions)],
    ]
    return _table(["", ""], rows)


def _described(spec: PictureSpec) -> str:
    low, high = spec.value_range
    names = {1: "gray", 3: "RGB"}
    return f"{names.get(spec.channels, f'{spec.channels} channels')}, {spec.dtype}, values {low:g} to {high:g}"


def _multiple(multiple: int) -> str:
    return f" (the network takes multiples of {multiple} pixels)" if multiple > 1 else ""


def _tiles(context: int | None) -> str:
    if context is None:
        return "every output pixel depends on the whole picture: tiles of large pictures are blended"
    return f"exact, with {context} pixels of context"


INTENDED = (
    "Translating pictures like those of the training data: artistic and scientific work, restoration whose result is\n"
    "labeled as synthetic, research on image-to-image models."
)
OUT_OF_SCOPE = (
    "- Sexual imagery of people, in any form; undressing people.\n"
    "- Evidence: what a covered, blurred or small region showed cannot be recovered; the output is no proof of it.\n"
    "- Identifying people, and medical or other decisions about them.\n"
    "- Passing off outputs as photographs."
)
GATE = (
    "ganvas scores every picture that it gives to this model, and every output, with Open NSFW, and refuses sexual\n"
    "imagery of people; no option turns that off. The weights alone contain no such gate: a program other than ganvas\n"
    "that runs them has to bring its own."
)


def training_data(record: RunRecord) -> str:
    """Describe the training data without file names and folders."""
    data = record.data
    if data is None:
        return "Not recorded: the weights were imported from a checkpoint of another program."
    if isinstance(data, PairedData) and data.layout == "single":
        low, high = data.strength
        strength = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        kind = (
            f"Pictures (the targets), whose inputs were made by the degradation `{data.degrade}`, strength {strength}"
        )
    elif isinstance(data, PairedData):
        kind = "Pairs of pictures, one the input and one the target"
    else:
        kind = "Two sets of pictures, the sources and the targets, which do not correspond"
    size, crop = "x".join(map(str, data.load_size)), "x".join(map(str, data.crop_size))
    resized = {
        "none": "",
        "stretch": f" of pictures resized to {size}",
        "shorter_side": f" of pictures whose shorter side was resized to {min(data.load_size)} pixels",
    }
    return (
        f"{kind}.\nThe model saw crops of {crop} pixels (height x width){resized[data.resize]}"
        f"{', half of them mirrored' if data.mirror else ''}.\n"
        "The pictures are not part of this repository, and neither are their names."
    )


SHOWN = ("epochs", "batch_size", "optimizer", "learning_rate", "decay", "precision", "ema_half_life", "seed")
"""Settings of the trainer that a card names."""


def _training(card: Card) -> str:
    idea = (type(card.record.method).__doc__ or "").strip().splitlines()[0]
    settings = card.record.training or {}
    rows = [["method", f"{card.method_name}: {idea}"]]
    if hasattr(card.record.method, "generator"):
        rows.append(["generator", str(card.record.method.generator)])
    rows += [["training images", str(card.published.images_seen)]] * (card.published.images_seen > 0)
    rows += [[name.replace("_", " "), str(settings[name])] for name in SHOWN if name in settings]
    rows += [["initial weights", "of another run"]] * bool(settings.get("start_from"))
    rows += [["weights", f"snapshot `{card.published.snapshot}` of {card.record.created[:10]}"]]
    return _table(["", ""], rows)


def _evaluation(card: Card) -> str:
    if card.measured is None:
        return "No evaluation of these weights was published."
    measured = card.measured
    rows = [
        [TITLES[name], f"{value:.4g}", f"{measured.baseline[name]:.4g}" if name in measured.baseline else "-"]
        for name, value in measured.output.items()
    ]
    table = _table(["mean", "output", "unchanged input"], rows)
    return f"Against the targets of {measured.pictures} pairs of the {measured.split} split:\n\n{table}"


def _limitations(card: Card) -> str:
    lines = [
        "- Details in the output are plausible, not true.",
        "- Pictures unlike the training data (other subjects, resolutions, cameras or degradations) give poor results.",
        "- The model repeats the biases of its training data.",
    ]
    if card.method.draws_noise:
        lines.append("- The method draws noise; ganvas seeds it by the picture, other programs may not.")
    return "\n".join(lines)


def _license(identifier: str | None) -> str:
    if identifier:
        return f"The weights are licensed as {_plain(identifier)}."
    return "The author has stated no license for the weights: ask before you use them."
