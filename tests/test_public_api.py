"""The public names, and that importing them is cheap."""

import pkgutil
import subprocess
import sys

import pytest

import ganvas


def test_every_public_name_exists_and_is_documented() -> None:
    for name in ganvas.__all__:
        value = getattr(ganvas, name)
        assert name == "__version__" or (value.__doc__ or "").strip(), f"{name} has no docstring"


def test_the_names_are_frozen() -> None:
    assert ganvas.__all__ == [
        "GanvasError", "PairedData", "Picture", "Pix2PixConfig", "RunConfig", "TrainingConfig", "__version__",
        "demo", "evaluate", "import_reference", "load", "locate", "prepare", "read_image", "redact", "resume",
        "train", "translate", "write_image",
    ]  # fmt: skip


def test_unknown_names_are_said_to_be_unknown() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        ganvas.nothing  # noqa: B018


def test_start_up_imports_no_torch() -> None:
    code = "import sys, ganvas, ganvas.cli; ganvas.TrainingConfig; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_public_name_is_also_a_module() -> None:
    """Importing `ganvas.x` puts the module in the place of the function `ganvas.x`."""
    modules = {module.name for module in pkgutil.iter_modules(ganvas.__path__)}
    assert not modules & set(ganvas.__all__)
