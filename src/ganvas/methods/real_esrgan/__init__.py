"""Real-ESRGAN: restoration of photographs with unknown defects (Wang et al. 2021, arXiv:2107.10833)."""
