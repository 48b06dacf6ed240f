"""Picture type, reading and writing, value ranges, covers, and grids."""

from ganvas.image.cover import Cover, cover_picture
from ganvas.image.files import encode_image, list_images, read_image, read_label, write_image
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Box, Picture, PictureSpec, make_grid

__all__ = [
    "Box",
    "Cover",
    "Picture",
    "PictureSpec",
    "SyntheticLabel",
    "cover_picture",
    "encode_image",
    "list_images",
    "make_grid",
    "read_image",
    "read_label",
    "write_image",
]
