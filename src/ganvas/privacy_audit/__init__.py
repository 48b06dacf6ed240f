"""How much a cover hides: what attacks recover, and what is still recognised. Import from the submodules."""
