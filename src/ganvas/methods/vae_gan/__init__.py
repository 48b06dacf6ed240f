"""VAE/GAN: a VAE that compares pictures by discriminator features (Larsen et al. 2016, arXiv:1512.09300)."""
