"""A trained run as an image -> image object: record, translator, tiles, folders. Import from the submodules."""
