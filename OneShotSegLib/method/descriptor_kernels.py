"""The compiled loops of the alignment on a CPU: sampling, descriptors in a machine word each, costs of all offsets.

Written so that the compiler uses vector instructions: a row at a time, whose arrays are told apart by their views.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from OneShotSegLib.geodesic.compiled import compiled

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]

CHANNELS = 12
BITS = 5
IN_VIEW = 63
"""Bit of a word that says whether its voxel is in view."""
_SHIFT_OF_COUNT, _LOWER = np.uint64(32), np.uint64((1 << 32) - 1)
_ONE = np.uint64(1)
_VALUES = np.uint64((1 << (CHANNELS * BITS)) - 1)
_PAIRS, _FOURS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_BYTES, _EACH = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)


_NEIGHBOURS = ((0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2))
_PAIRS_OF_NEIGHBOURS = np.array(
    [(*_NEIGHBOURS[a], *_NEIGHBOURS[b]) for a in range(6) for b in range(a + 1, 6) if a // 2 != b // 2]
)


@njit(inline="always")
def _count_ones(word: np.uint64) -> np.uint64:
    """How many bits of a word are 1: the compiler makes it one instruction, on several words, where there is one."""
    word = word - ((word >> _ONE) & _PAIRS)
    word = (word & _FOURS) + ((word >> np.uint64(2)) & _FOURS)
    word = (word + (word >> np.uint64(4))) & _BYTES
    return (word * _EACH) >> np.uint64(56)


@compiled
def sample(
    image: Floats,
    start: Doubles,
    step: Doubles,
    shape: tuple[int, int, int],
    low: Doubles,
    control: Doubles,
    fields: NDArray[np.float32],
    affine: Doubles,
    view: Doubles,
    extent: Doubles,
    values: Floats,
    inside: Bytes,
) -> None:
    """Read a CT where displacement fields and an affine map take the voxels of a grid.

    Args:
        image: Intensities, shape (D', H', W'); 0 beyond them.
        start: Position of the grid's first voxel, mm, shape (3,).
        step: Its voxel size, mm, shape (3,).
        shape: Its voxels (D, H, W).
        low: Position of the first control point, mm, shape (3,).
        control: Distance of the control points, mm, shape (3,).
        fields: Displacements at the control points, mm, in the order in which they act, shape (n, d, h, w, 3).
        affine: From the displaced positions, with a last 1, to indices of the image, shape (3, 4).
        view: The same to indices of the CT's own grid.
        extent: That grid's voxels, shape (3,).
        values: Takes the intensities, shape (D, H, W).
        inside: Takes 1 where the CT's own grid has the position, else 0; shape (D, H, W).
    """
    depth, height, width = shape
    for i in range(depth):
        for j in range(height):
            for k in range(width):
                z, y, x = start[0] + i * step[0], start[1] + j * step[1], start[2] + k * step[2]
                for number in range(fields.shape[0]):
                    at_z, at_y, at_x = (z - low[0]) / control[0], (y - low[1]) / control[1], (x - low[2]) / control[2]
                    dz, dy, dx = _displacement(fields[number], at_z, at_y, at_x)
                    z, y, x = z + dz, y + dy, x + dx
                values[i, j, k] = _linear(
                    image,
                    affine[0, 0] * z + affine[0, 1] * y + affine[0, 2] * x + affine[0, 3],
                    affine[1, 0] * z + affine[1, 1] * y + affine[1, 2] * x + affine[1, 3],
                    affine[2, 0] * z + affine[2, 1] * y + affine[2, 2] * x + affine[2, 3],
                )
                held = True
                for axis in range(3):
                    at = view[axis, 0] * z + view[axis, 1] * y + view[axis, 2] * x + view[axis, 3]
                    held &= (at >= -0.5) & (at <= extent[axis] - 0.5)
                inside[i, j, k] = held


@compiled
def displace(positions: Doubles, low: Doubles, control: Doubles, fields: NDArray[np.float32]) -> None:
    """Move positions (N, 3), mm, by displacement fields in place; the rest as for `sample`."""
    for point in range(len(positions)):
        z, y, x = positions[point]
        for number in range(fields.shape[0]):
            at_z, at_y, at_x = (z - low[0]) / control[0], (y - low[1]) / control[1], (x - low[2]) / control[2]
            dz, dy, dx = _displacement(fields[number], at_z, at_y, at_x)
            z, y, x = z + dz, y + dy, x + dx
        positions[point, 0], positions[point, 1], positions[point, 2] = z, y, x


@compiled
def _linear(image: Floats, z: float, y: float, x: float) -> np.float32:
    """A volume's value between voxels; voxels beyond it are 0."""
    depth, height, width = image.shape
    if not (-1 < z < depth and -1 < y < height and -1 < x < width):
        return np.float32(0)
    i, j, k = int(np.floor(z)), int(np.floor(y)), int(np.floor(x))
    fz, fy, fx = np.float32(z - i), np.float32(y - j), np.float32(x - k)
    found = np.float32(0)
    for a in range(2):
        if 0 <= i + a < depth:
            wz = fz if a else np.float32(1) - fz
            for b in range(2):
                if 0 <= j + b < height:
                    wy = wz * (fy if b else np.float32(1) - fy)
                    if k >= 0:
                        found += wy * (np.float32(1) - fx) * image[i + a, j + b, k]
                    if k + 1 < width:
                        found += wy * fx * image[i + a, j + b, k + 1]
    return found


@compiled
def _displacement(field: Floats, z: float, y: float, x: float) -> tuple[float, float, float]:
    """A field's displacement at a place between control points, mm; 0 beyond them."""
    depth, height, width = field.shape[0], field.shape[1], field.shape[2]
    dz = dy = dx = 0.0
    if not (-1 < z < depth and -1 < y < height and -1 < x < width):
        return dz, dy, dx
    i, j, k = int(np.floor(z)), int(np.floor(y)), int(np.floor(x))
    fz, fy, fx = z - i, y - j, x - k
    for a in range(2):
        if 0 <= i + a < depth:
            wz = fz if a else 1 - fz
            for b in range(2):
                if 0 <= j + b < height:
                    wy = wz * (fy if b else 1 - fy)
                    for c in range(2):
                        if 0 <= k + c < width:
                            w = wy * (fx if c else 1 - fx)
                            dz += w * field[i + a, j + b, k + c, 0]
                            dy += w * field[i + a, j + b, k + c, 1]
                            dx += w * field[i + a, j + b, k + c, 2]
    return dz, dy, dx


@compiled
def self_similarity(image: Floats, distance: Floats, noise: Floats) -> None:
    """How unlike the patches of a voxel's six neighbours are, by pairs, less that of the likest pair.

    Args:
        image: Intensities, shape (D, H, W).
        distance: Takes the mean squared difference of the patches (3x3x3) of each pair, shape (D, 12, H, W).
        noise: Takes their mean over the pairs, shape (D, H, W).
    """
    depth, height, width = image.shape
    padded = np.empty((depth + 2, height + 2, width + 2), np.float32)
    for z in range(depth + 2):
        for y in range(height + 2):
            source, row = image[min(max(z - 1, 0), depth - 1), min(max(y - 1, 0), height - 1)], padded[z, y]
            row[1 : width + 1] = source
            row[0], row[width + 1] = source[0], source[width - 1]
    planes = np.empty((3, CHANNELS, height, width), np.float32)
    squared = np.empty((height + 2, width + 2), np.float32)
    along = np.empty((height + 2, width), np.float32)
    _plane_sums(padded, 0, squared, along, planes[0])
    for z in range(depth):
        before, here, after = max(z - 1, 0) % 3, z % 3, min(z + 1, depth - 1) % 3
        if z + 1 < depth:
            _plane_sums(padded, z + 1, squared, along, planes[after])
        for y in range(height):
            _less_the_least(
                planes[before, :, y], planes[here, :, y], planes[after, :, y], distance[z, :, y], noise[z, y]
            )


@compiled
def _less_the_least(before: Floats, here: Floats, after: Floats, distance: Floats, noise: Floats) -> None:
    """From three planes' sums (12, W) to a row of `self_similarity`."""
    width = noise.size
    least = np.full(width, np.float32(np.inf))
    noise[:] = 0
    for channel in range(CHANNELS):
        a, b, c, found = before[channel], here[channel], after[channel], distance[channel]
        for x in range(width):
            value = (a[x] + b[x] + c[x]) * np.float32(1 / 27)
            found[x] = value
            noise[x] += value
            least[x] = value if value < least[x] else least[x]
    for x in range(width):
        noise[x] = noise[x] * np.float32(1 / CHANNELS) - least[x]
    for channel in range(CHANNELS):
        found = distance[channel]
        for x in range(width):
            found[x] -= least[x]


@compiled
def _plane_sums(padded: Floats, z: int, squared: Floats, along: Floats, sums: Floats) -> None:
    """Sums of the pairs' squared differences over each voxel's 3x3 neighbourhood in a plane, shape (12, H, W)."""
    height, width = sums.shape[1], sums.shape[2]
    for channel in range(CHANNELS):
        az, ay, ax, bz, by, bx = _PAIRS_OF_NEIGHBOURS[channel]
        for y in range(height):
            first, second = padded[z + az, y + ay, ax : ax + width], padded[z + bz, y + by, bx : bx + width]
            row = squared[y + 1, 1 : width + 1]
            for x in range(width):
                difference = first[x] - second[x]
                row[x] = difference * difference
            squared[y + 1, 0], squared[y + 1, width + 1] = row[0], row[width - 1]
            left, middle, right = squared[y + 1, :width], squared[y + 1, 1 : width + 1], squared[y + 1, 2:]
            target = along[y + 1]
            for x in range(width):
                target[x] = left[x] + middle[x] + right[x]
        along[0], along[height + 1] = along[1], along[height]
        for y in range(height):
            above, middle, below, target = along[y], along[y + 1], along[y + 2], sums[channel, y]
            for x in range(width):
                target[x] = above[x] + middle[x] + below[x]


@compiled
def write_words(
    distance: Floats, noise: Floats, range_: Floats, thresholds: Floats, inside: Bytes, words: Words
) -> None:
    """Put each voxel's descriptor in a word.

    Args:
        distance: As `self_similarity` gives it, shape (D, 12, H, W).
        noise: Likewise, shape (D, H, W).
        range_: The least and the greatest noise that counts, shape (2,).
        thresholds: Distances in units of the noise below which a bit is 1, falling, shape (5,).
        inside: 1 where a voxel is in view, shape (D, H, W).
        words: Takes the words, shape (D, H, W).
    """
    depth, height, width = noise.shape
    scale, word = np.empty(width, np.float32), np.empty(width, np.uint64)
    for z in range(depth):
        for y in range(height):
            row, view, target = noise[z, y], inside[z, y], words[z, y]
            for x in range(width):
                scale[x] = min(max(row[x], range_[0]), range_[1])
                word[x] = np.uint64(view[x]) << np.uint64(IN_VIEW)
            for channel in range(CHANNELS):
                found = distance[z, channel, y]
                for bit in range(BITS):
                    threshold, value = thresholds[bit], np.uint64(1 << (channel * BITS + bit))
                    for x in range(width):
                        word[x] |= value if found[x] < threshold * scale[x] else np.uint64(0)
            target[:] = word


@compiled
def shrink(inside: Bytes, radius: int) -> None:
    """Leave 1 only where the whole cube of this radius is 1, as far as the array has it; in place, shape (D, H, W)."""
    for axis in range(3):
        length = inside.shape[axis]
        lines = inside.copy()
        for at in range(length):
            for other in range(max(at - radius, 0), min(at + radius, length - 1) + 1):
                if axis == 0:
                    inside[at] &= lines[other]
                elif axis == 1:
                    inside[:, at] &= lines[:, other]
                else:
                    inside[:, :, at] &= lines[:, :, other]


@compiled
def block_sums(
    reference: Words, moved: Words, offsets: NDArray[np.int64], step: NDArray[np.int64], first: int, sums: Words
) -> None:
    """Bits that differ, and voxels in view in both, in the block around each control point, for all offsets.

    A plane of the reference is compared at all offsets before the next: with what it is compared with it stays in the
    processor's cache. A voxel between two control points belongs to the blocks of both.

    Args:
        reference: Words of the support's grid, shape (D, H, W).
        moved: Words of the query, beyond the grid's faces too.
        offsets: Where the grid's first voxel lies in ``moved``, for each offset, shape (n, 3).
        step: Voxels from one control point to the next, shape (3,).
        first: Index of the first plane of control points of ``sums``.
        sums: Takes the bits in its lower, the voxels in its upper half; shape (planes, n, d_y, d_x).
    """
    height, width = reference.shape[1:]
    planes, count, rows, columns = sums.shape
    sums[:] = 0
    own, other = reference.ravel(), moved.ravel()
    lines = np.empty((2 * rows + 1, width), np.uint64)  # the first and the last stay empty
    within = np.empty((rows, columns), np.uint64)
    # By turns a plane of control points, and the planes between it and the next.
    last = 2 * ((reference.shape[0] - 1) // step[0])
    for segment in range(max(2 * first - 1, 0), min(2 * (first + planes) - 1, last) + 1):
        plane, is_between = segment // 2 - first, segment % 2 > 0
        start = segment // 2 * step[0] + is_between
        stop = start + (step[0] - 1 if is_between else 1)
        for number in range(count):
            oz, oy, ox = offsets[number]
            lines[:] = 0
            for z in range(start, stop):
                at = ((z + oz) * moved.shape[1] + oy) * moved.shape[2] + ox
                _compare_plane(own, z * height * width, other, at, moved.shape[2], height, step[1], lines)
            _sum_lines(lines, step[2], within)
            if plane >= 0:
                _add(sums[plane, number], within)
            if is_between and plane + 1 < planes:
                _add(sums[plane + 1, number], within)


@compiled
def _compare_plane(
    own: Words, start: int, other: Words, other_start: int, other_width: int, height: int, step: int, lines: Words
) -> None:
    """Add the comparisons of a plane's rows: by turns those of a row of control points, and those up to the next."""
    width, sums = np.uint64(lines.shape[1]), lines.ravel()
    for y in range(height):
        a, b = np.uint64(start) + np.uint64(y) * width, np.uint64(other_start + y * other_width)
        target = np.uint64(2 * (y // step) + 1 + (y % step > 0)) * width
        for x in range(width):
            sums[target + x] += _compared(own[a + x], other[b + x])


@njit(inline="always")
def _compared(own: np.uint64, other: np.uint64) -> np.uint64:
    """The bits in which two words differ, and in the upper half whether both are in view; 0 if they are not."""
    both = (own & other) >> np.uint64(IN_VIEW)
    return _count_ones((own ^ other) & _VALUES & (np.uint64(0) - both)) + (both << _SHIFT_OF_COUNT)


@compiled
def _sum_lines(lines: Words, step: int, sums: Words) -> None:
    """The blocks' sums of a plane, shape (rows, columns), from the lines of control points and those between them."""
    rows, columns = sums.shape
    width, reach = np.uint64(lines.shape[1]), np.uint64(step - 1)
    flat, summed = lines.ravel(), sums.ravel()
    # The sums before each voxel; a window's sum is then a difference.
    before = np.zeros(lines.shape[1] + 1, np.uint64)
    for row in range(rows):
        middle = np.uint64(2 * row + 1) * width
        above, below, total = middle - width, middle + width, np.uint64(0)
        for x in range(width):
            total += flat[above + x] + flat[middle + x] + flat[below + x]
            before[x + _ONE] = total
        for column in range(columns):
            at = np.uint64(column * step)
            low = at - reach if at > reach else np.uint64(0)
            summed[row * columns + column] = before[min(at + reach + _ONE, width)] - before[low]


@compiled
def _add(sums: Words, more: Words) -> None:
    """Add an array to another of the same shape."""
    first, second = sums.ravel(), more.ravel()
    for i in range(first.size):
        first[i] += second[i]


@compiled
def block_costs(sums: Words, voxels: Doubles, least_share: float, costs: Floats) -> None:
    """The share of differing bits in each block, and where too little of it is in view the mean over the offsets.

    Args:
        sums: As `block_sums` gives them, shape (planes, n, d_y, d_x).
        voxels: Of each block, shape (planes, d_y, d_x).
        least_share: Of a block's voxels that must be in view.
        costs: Takes the costs, shape (planes, d_y, d_x, n).
    """
    planes, count, rows, columns = sums.shape
    for plane in range(planes):
        for row in range(rows):
            for column in range(columns):
                least = least_share * voxels[plane, row, column]
                target = costs[plane, row, column]
                total, known = 0.0, 0
                for number in range(count):
                    found = sums[plane, number, row, column]
                    seen = np.float64(found >> _SHIFT_OF_COUNT)
                    target[number] = np.nan
                    if seen > 0 and seen >= least:
                        cost = np.float64(found & _LOWER) / (seen * (CHANNELS * BITS))
                        target[number] = cost
                        total += cost
                        known += 1
                if known < count:
                    mean = np.float32(total / max(known, 1))
                    for number in range(count):
                        if np.isnan(target[number]):
                            target[number] = mean


@compiled
def choose(
    costs: Floats,
    choices: Floats,
    neighbours: NDArray[np.int64],
    step_mm: Floats,
    field: Floats,
    weight: float,
    between: bool,
    found: Floats,
) -> None:
    """The best offset of each control point, given what it costs to differ from a field.

    Args:
        costs: Of each offset, shape (points, n).
        choices: The offsets, mm, shape (n, 3).
        neighbours: Indices of the next offsets along each axis, down and up, -1 for none; shape (n, 3, 2).
        step_mm: Distance of neighbouring offsets along each axis, shape (3,).
        field: Displacements, mm, shape (3, points).
        weight: Cost of a squared mm of difference from the field.
        between: Whether places between the offsets may be chosen.
        found: Takes the displacements, mm, shape (3, points).
    """
    points, count = costs.shape
    z, y, x = choices[:, 0].copy(), choices[:, 1].copy(), choices[:, 2].copy()
    coupled = np.empty(count, np.float32)
    factor = np.float32(weight)
    for point in range(points):
        own = costs[point]
        fz, fy, fx = field[0, point], field[1, point], field[2, point]
        for number in range(count):
            dz, dy, dx = z[number] - fz, y[number] - fy, x[number] - fx
            coupled[number] = own[number] + factor * (dz * dz + dy * dy + dx * dx)
        best = 0
        for number in range(count):
            if coupled[number] < coupled[best]:
                best = number
        for axis in range(3):
            place = choices[best, axis]
            before, after = neighbours[best, axis]
            if between and before >= 0 and after >= 0:
                down, up = coupled[before] - coupled[best], coupled[after] - coupled[best]
                if down + up > 0:
                    place += (down - up) / (np.float32(2) * (down + up)) * step_mm[axis]
            found[axis, point] = place
