"""Public names, and cheap imports of them."""

import pkgutil
import subprocess
import sys
from typing import get_args

import pytest

import ganvas
from ganvas import api, methods
from ganvas.cli import HOMES, VERBS


def test_every_public_name_exists_and_is_documented() -> None:
    for name in ganvas.__all__:
        value = getattr(ganvas, name)
        assert (value.__doc__ or "").strip(), f"{name} has no docstring"


def test_the_names_are_frozen() -> None:
    assert ganvas.__all__ == [
        "GanvasError", "PairedData", "Picture", "RunConfig", "TrainingConfig", "UnpairedData", "compare", "demo",
        "evaluate", "load", "locate", "prepare", "read_image", "read_video", "redact", "resume", "train", "translate",
        "write_image", "write_video",
    ]  # fmt: skip
    assert len(ganvas.__all__) <= 20


def test_every_command_is_in_api_and_the_main_ones_at_the_top() -> None:
    assert {name for verb, (name, _) in VERBS.items() if verb not in HOMES} | {"load"} == set(api.__all__)
    assert all(getattr(ganvas, name) is getattr(api, name) for name in set(ganvas.__all__) & set(api.__all__))


def test_the_configs_of_the_methods_are_in_one_place() -> None:
    assert {config.__name__ for config in get_args(methods.MethodConfig)} | {"MethodConfig"} == set(methods.__all__)


def test_unknown_names_are_said_to_be_unknown() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        ganvas.nothing  # noqa: B018


def test_start_up_imports_no_torch() -> None:
    code = "import sys, ganvas.cli, ganvas.methods, ganvas.api; ganvas.TrainingConfig; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_public_name_is_also_a_module() -> None:
    """Importing a module `ganvas.x` would replace a function `ganvas.x`."""
    modules = {module.name for module in pkgutil.iter_modules(ganvas.__path__)}
    assert not modules & set(ganvas.__all__)


def test_asking_for_help_loads_nothing_slow() -> None:
    questions = [["--help"], ["--version"], ["translate", "--help"], ["train", "pix2pix", "--help"]]
    code = (
        "import sys\n"
        "from contextlib import suppress\n"
        "from ganvas.cli import main\n"
        f"for words in {questions!r}:\n"
        "    with suppress(SystemExit):\n"
        "        main(words)\n"
        "slow = {'torch', 'numpy', 'onnx', 'onnxruntime', 'scipy', 'PIL', 'tifffile', 'imagecodecs', 'safetensors'}\n"
        "sys.stderr.write(', '.join(sorted(slow & set(sys.modules))))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert all(words in result.stdout for words in ("usage: ganvas VERB", "ganvas 0.", "--tile", "--l1-weight"))


def test_translating_loads_nothing_that_it_does_not_use() -> None:
    """scipy and decoders of rare formats would add half a second to the startup; only localization needs onnx."""
    code = (
        "import sys, ganvas.inference.folder, ganvas.localization.open_nsfw\n"
        "ganvas.localization.open_nsfw.NSFWScorer()\n"
        "slow = {'onnx', 'scipy', 'tifffile', 'imagecodecs', 'torch._dynamo', 'torch._inductor'}\n"
        "sys.stderr.write(', '.join(sorted(slow & set(sys.modules))))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
