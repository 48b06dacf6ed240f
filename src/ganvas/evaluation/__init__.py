"""Evaluation of trained runs: on pairs, on super-resolution sets, and methods compared under one budget."""
