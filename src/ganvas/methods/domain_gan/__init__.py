"""Domain-conditioned GAN with an encoder (Dong et al. 2017, arXiv:1701.02676)."""
