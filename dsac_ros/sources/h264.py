# SPDX-License-Identifier: Apache-2.0
"""Headers of H.264 and H.265 about pictures: kinds of NAL units, numbers of frames.

ITU-T H.264 (08/2021), sections 7.3 and 7.4, annex B; ITU-T H.265 (08/2021), table 7-1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

START_CODE = b'\x00\x00\x01'
EMULATION_PREVENTION = b'\x00\x00\x03'
SLICE, IDR_SLICE, SPS, PPS = 1, 5, 7, 8  # types of NAL units, table 7-1
# Types whose units hold a part of a picture.
PICTURES = {'h264': range(1, 6), 'hevc': range(32)}
# Profiles whose sequence parameters begin with the chroma format, section 7.3.2.1.1.
HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
LONGEST_HEADER = 64  # bytes of a slice that are looked at
AVCC_VERSION, LEAST_AVCC = b'\x01', 6  # of the avcC box, and its bytes before the first set


def nal_units(data: bytes, length_bytes: int = 0) -> Iterator[bytes]:
    """The NAL units of a byte stream (annex B), or each behind its length, as mp4 has them."""
    while length_bytes and data:
        end = length_bytes + int.from_bytes(data[:length_bytes], 'big')
        if end > length_bytes:
            yield data[length_bytes:end]
        data = data[end:]
    start = data.find(START_CODE)
    while start >= 0:
        start += len(START_CODE)
        end = data.find(START_CODE, start)
        unit = data[start : end if end >= 0 else len(data)]
        if unit:
            yield unit
        start = end


def byte_stream(data: bytes) -> bytes:
    """The same NAL units behind start codes, where each stands behind its length (4 bytes).

    Encoders of phones and browsers give lengths, and some nodes publish them as they are.
    """
    units, rest = [], data
    while rest:
        end = 4 + int.from_bytes(rest[:4], 'big')
        if not 4 < end <= len(rest):
            return data
        units.append(rest[4:end])
        rest = rest[end:]
    return b''.join(START_CODE + unit for unit in units)


def parameter_units(configuration: bytes) -> Iterator[bytes]:
    """The parameter sets in the avcC box of an mp4 (ISO/IEC 14496-15, section 5.3.3.1)."""
    rest = configuration[5:]
    for count_mask in (31, 255):  # of sequence and of picture parameter sets
        count, rest = rest[0] & count_mask, rest[1:]
        for _ in range(count):
            end = 2 + int.from_bytes(rest[:2], 'big')
            unit, rest = rest[2:end], rest[end:]
            yield unit


def has_picture(video_format: str, data: bytes) -> bool:
    """Return False for packets of H.264 and H.265 that hold parameters alone."""
    if video_format not in PICTURES:
        return True
    types = [
        unit[0] & 31 if video_format == 'h264' else unit[0] >> 1 & 63 for unit in nal_units(data)
    ]
    return not types or any(kind in PICTURES[video_format] for kind in types)


class FrameNumbers:
    """Finds out where reference pictures are missing, by the numbers of frames (7.4.3).

    Decoders put a copy of another picture in place of a missing one and say nothing.
    """

    def __init__(self, extradata: bytes = b'') -> None:
        """Takes what a container says of the stream, where there is one."""
        self._sequences: dict[int, _Sequence] = {}
        self._sequence_of: dict[int, int] = {}
        self._last_reference: int | None = None
        self._length_bytes = 0
        if extradata[:1] == AVCC_VERSION and len(extradata) > LEAST_AVCC:
            self._length_bytes = (extradata[4] & 3) + 1
            self._take_all(parameter_units(extradata))
        else:
            self._take_all(nal_units(extradata))

    def follows(self, data: bytes) -> bool:
        """Return False where a reference picture is missing before the one in `data`."""
        return self._take_all(nal_units(data, self._length_bytes))

    def _take_all(self, units: Iterable[bytes]) -> bool:
        follows = True
        try:
            for unit in units:
                follows = self._take(unit) and follows
        except (IndexError, KeyError):  # cut short, or its parameters were never sent
            pass
        return follows

    def _take(self, unit: bytes) -> bool:
        kind = unit[0] & 31
        bits = _Bits(unit[1:] if kind == SPS else unit[1:LONGEST_HEADER])
        if kind == SPS:
            number, sequence = _read_sequence(bits)
            self._sequences[number] = sequence
        elif kind == PPS:
            number = bits.exp_golomb()
            self._sequence_of[number] = bits.exp_golomb()
        elif kind in (SLICE, IDR_SLICE):
            return self._take_slice(bits, kind == IDR_SLICE, is_reference=bool(unit[0] >> 5 & 3))
        return True

    def _take_slice(self, bits: _Bits, is_idr: bool, is_reference: bool) -> bool:
        bits.exp_golomb()  # first_mb_in_slice
        bits.exp_golomb()  # slice_type
        sequence = self._sequences[self._sequence_of[bits.exp_golomb()]]
        bits.take(2 * sequence.has_separate_planes)  # colour_plane_id
        number, last = bits.take(sequence.number_bits), self._last_reference
        follows = (
            is_idr
            or last is None
            or sequence.may_have_gaps
            or number in (last, (last + 1) % (1 << sequence.number_bits))
        )
        if is_reference:
            self._last_reference = number
        return follows


@dataclass(frozen=True)
class _Sequence:
    """The rules of a sequence parameter set for the numbers of frames."""

    number_bits: int
    has_separate_planes: bool
    may_have_gaps: bool


def _read_sequence(bits: _Bits) -> tuple[int, _Sequence]:
    """Read the identifier of a sequence parameter set and what is needed of it (7.3.2.1.1)."""
    profile = bits.take(8)
    bits.take(16)  # constraint flags, level_idc
    identifier, has_separate_planes = bits.exp_golomb(), False
    if profile in HIGH_PROFILES:
        chroma_format = bits.exp_golomb()
        if chroma_format == 3:
            has_separate_planes = bool(bits.take(1))
        bits.exp_golomb()  # bit_depth_luma_minus8
        bits.exp_golomb()  # bit_depth_chroma_minus8
        bits.take(1)  # qpprime_y_zero_transform_bypass_flag
        if bits.take(1):
            for index in range(12 if chroma_format == 3 else 8):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    number_bits = bits.exp_golomb() + 4
    order_type = bits.exp_golomb()
    if order_type == 0:
        bits.exp_golomb()  # log2_max_pic_order_cnt_lsb_minus4
    elif order_type == 1:
        bits.take(1)  # delta_pic_order_always_zero_flag
        bits.exp_golomb()  # offset_for_non_ref_pic; its sign does not matter here
        bits.exp_golomb()  # offset_for_top_to_bottom_field
        for _ in range(bits.exp_golomb()):
            bits.exp_golomb()  # offset_for_ref_frame
    bits.exp_golomb()  # max_num_ref_frames
    return identifier, _Sequence(number_bits, has_separate_planes, bool(bits.take(1)))


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    """Read over a scaling list (7.3.2.1.1.1)."""
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.exp_golomb()
            following = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
        last = following or last


class _Bits:
    """The bits of a NAL unit, one after the other; IndexError past the end."""

    def __init__(self, data: bytes) -> None:
        raw = data.replace(EMULATION_PREVENTION, EMULATION_PREVENTION[:2])
        self._value = int.from_bytes(raw, 'big')
        self._left = 8 * len(raw)

    def take(self, count: int) -> int:
        """Return the next `count` bits as an unsigned number."""
        if count > self._left:
            raise IndexError(f'{count} bits wanted, {self._left} left')
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def exp_golomb(self) -> int:
        """Return the next unsigned Exp-Golomb code (9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)
