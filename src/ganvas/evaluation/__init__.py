"""How good a result is, in figures and on one page. Import from the submodules."""
