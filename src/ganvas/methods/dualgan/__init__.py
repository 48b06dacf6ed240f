"""DualGAN: dual learning with Wasserstein critics (Yi et al. 2017, arXiv:1704.02510)."""
