"""One file is one paper. `METHODS` lists the modules here; others come by the entry point `ganvas.methods`."""

METHODS = (
    "pix2pix",
    "cyclegan",
    "cut",
    "discogan",
    "dualgan",
    "vae",
    "vae_gan",
    "domain_gan",
    "cogan",
    "unit",
    "srresnet",
    "srgan",
)
"""Modules of this package, each with its method under the name `METHOD`."""
