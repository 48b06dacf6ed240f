"""Run folder: the record, the snapshots of the generators and the checkpoint. Import from the submodules."""
