"""The ideas behind the methods, on numbers and points, where every answer is known. Import from the submodules."""
