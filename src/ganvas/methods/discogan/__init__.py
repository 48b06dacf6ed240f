"""DiscoGAN: cross-domain relations without pairs (Kim et al. 2017, arXiv:1703.05192)."""
