"""CoGAN: coupled generators of two domains (Liu and Tuzel 2016, arXiv:1606.07536)."""
