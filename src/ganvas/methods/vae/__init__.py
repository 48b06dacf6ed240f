"""VAE: auto-encoding variational Bayes (Kingma and Welling 2014, arXiv:1312.6114)."""
