"""Methods, a folder per paper; `METHODS` lists those here, others come by the entry point `ganvas.methods`."""

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
"""Folders of this package: `config` has the settings, `method` the method under the name `METHOD`."""
