"""The content gate: Open NSFW scores every picture that enters or leaves a model; above the threshold it is refused."""
