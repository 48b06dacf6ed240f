"""CycleGAN: translation between two sets without pairs (Zhu et al. 2017, arXiv:1703.10593)."""
