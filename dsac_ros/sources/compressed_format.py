# SPDX-License-Identifier: Apache-2.0
"""The `format` of a CompressedImage, as image_transport and everybody else writes it."""

from __future__ import annotations

from typing import NamedTuple

ALIASES = {'jpg': 'jpeg', 'tif': 'tiff'}
TRANSPORTS = {'compressed': 'compressed', 'compresseddepth': 'compressedDepth'}


class CompressedFormat(NamedTuple):
    """The parts of a format, '' for what it does not say.

    encoding is that of the image before compression, codec is in lower case (jpeg, png, rvl),
    stored is the encoding that was handed to the codec.
    """

    encoding: str = ''
    transport: str = 'compressed'
    codec: str = ''
    stored: str = ''

    @property
    def is_depth(self) -> bool:
        """Return whether compressed_depth_image_transport made the message."""
        return self.transport == 'compressedDepth'


def parse_format(text: str) -> CompressedFormat:
    """The parts of a format; any text has some.

    compressed_image_transport writes `ENCODING; CODEC compressed STORED`, compressed depth is
    `ENCODING; compressedDepth [CODEC]`, and most others write a codec alone: `jpeg`, `.png`,
    `image/jpeg`.
    """
    encoding, separator, rest = text.strip('\0 ').partition(';')
    if not separator:
        encoding, rest = '', encoding
    words = rest.split()
    place = next((i for i, word in enumerate(words) if word.lower() in TRANSPORTS), None)
    if place is None:
        return CompressedFormat(encoding.strip(), codec=_codec(words[:1]))
    transport = TRANSPORTS[words[place].lower()]
    after = words[place + 1 :]
    if transport == 'compressedDepth':
        return CompressedFormat(encoding.strip(), transport, _codec(after))
    return CompressedFormat(encoding.strip(), transport, _codec(words[:place]), ''.join(after[:1]))


def _codec(words: list[str]) -> str:
    name = ''.join(words[:1]).lower().removeprefix('image/').removeprefix('.')
    return ALIASES.get(name, name)
