"""pix2pix: image-to-image translation from pairs (Isola et al. 2017, arXiv:1611.07004)."""
