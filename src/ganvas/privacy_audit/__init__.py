"""Privacy audit of covers: what attacks recover, and what classifiers still recognize. Import from the submodules."""
