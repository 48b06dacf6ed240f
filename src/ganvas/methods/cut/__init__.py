"""CUT and FastCUT: contrastive unpaired translation (Park et al. 2020, arXiv:2007.15651)."""
