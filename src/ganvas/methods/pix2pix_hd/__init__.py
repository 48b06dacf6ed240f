"""pix2pixHD: pix2pix with multi-scale discriminators and feature matching (Wang et al. 2018, arXiv:1711.11585)."""
