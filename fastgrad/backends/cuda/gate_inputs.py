"""What the inputs of a recurrent layer add to its gates, for all steps at once, and its biases.

design: products of our own stop at the last row that counts. Large ones are left to cuBLAS, which
takes all rows: those behind the last step may become anything, and give zeros to a gradient of w.
"""

from __future__ import annotations

from collections.abc import Callable

from fastgrad.arena import Array
from fastgrad.backends.cuda.column_sums import pieces_of, sum_down
from fastgrad.backends.cuda.device import BLOCK, device, finite, number, part
from fastgrad.backends.cuda.library import worth
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, Word, kernel, over, rows
from fastgrad.backends.cuda.product import Phases, Product, make
from fastgrad.backends.cuda.target import cuda

DEEP = 16  # rows of a table that a block of threads takes at a time


@kernel
def gate_inputs_forward(
    x: Array, w: Array, bias: Array, offsets: Array, turned: int, z: Array
) -> Phases:
    (rows_of_x, inputs), outputs, wide = x.shape, len(w), z.shape[1]
    gates, counted = z.reshape(-1), None if _is_large(x, w) else offsets[-1:]

    def columns(first: int, count: int, row: int, depth: int = inputs) -> Product:
        """So many columns of z, from the first one on, of as many rows of w."""
        return Product(
            x, w[row:], gates[first:], rows_of_x, count, depth, (inputs, 1), (1, inputs), wide,
            bias=bias[first:], count=counted,
        )  # fmt: skip

    found = [columns(turned, outputs - turned, 0)]
    if turned:
        # the block of bias alone is a product with nothing in it
        found += [columns(0, turned, outputs - turned), columns(outputs, turned, 0, depth=0)]
    return make(found)


def _is_large(x: Array, w: Array) -> bool:
    return worth(len(x), *w.shape)


@kernel
def gate_inputs_backward(
    x: Array, w: Array, dz: Array, offsets: Array, turned: int, dx: Array | None, dw: Array,
    status: Array | None,
) -> Phases:  # fmt: skip
    if _is_large(x, w):
        return _large_gradients(x, w, dz, offsets, turned, dx, dw, status)
    (rows_of_x, inputs), outputs, wide = x.shape, len(w), dz.shape[1]
    gates, counted = dz.reshape(-1), offsets[-1:]
    # columns of dz: the first, how many, and the first row of w that they belong to
    blocks = [(turned, outputs - turned, 0)]
    if turned:
        blocks.append((0, turned, outputs - turned))
    found = [
        Product(
            gates[first:], x, dw[row:], count, inputs, rows_of_x, (1, wide), (inputs, 1), inputs,
            count=counted, cut="K", status=status,
        )
        for first, count, row in blocks
    ]  # fmt: skip
    if dx is None:
        return make(found)
    to_inputs = [
        Product(
            gates[first:], w[row:], dx, rows_of_x, inputs, count, (wide, 1), (inputs, 1), inputs,
            accumulate=row > 0, count=counted,
        )
        for first, count, row in blocks
    ]  # fmt: skip
    # the second block is added to what the first has left in dx
    return [
        *make([*found, to_inputs[0]]),
        *(phase for later in to_inputs[1:] for phase in make([later])),
    ]


@device
def _keep_counted(m: Memory, w: int, k: int) -> None:
    """Copies of x, and of dz in the order of w's rows; zeros behind the last step."""
    n, inputs, outputs, wide = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    turned, counted = m.ints[w + 4], m.ints[m.ints[w + 5]]
    x, dz = part(m.reals, m.ints[w + 6], n * inputs), part(m.reals, m.ints[w + 7], n * wide)
    kept = part(m.reals, m.ints[w + 8], n * inputs)
    gates = part(m.reals, m.ints[w + 9], n * outputs)
    zero = number(m.reals, 0.0)
    for i in range(cuda.grid(1), n * inputs, cuda.gridsize(1)):
        kept[i] = x[i] if i < counted * inputs else zero
    for i in range(cuda.grid(1), n * outputs, cuda.gridsize(1)):
        r = i // outputs
        column = i - r * outputs + turned
        column -= outputs if column >= outputs else 0
        gates[i] = dz[r * wide + column] if r < counted else zero


def _large_gradients(
    x: Array, w: Array, dz: Array, offsets: Array, turned: int, dx: Array | None, dw: Array,
    status: Array | None,
) -> Phases:  # fmt: skip
    (n, inputs), outputs, wide = x.shape, len(w), dz.shape[1]
    kept, gates = Scratch(x.dtype, n, inputs), Scratch(x.dtype, n, outputs)
    words = n, inputs, outputs, wide, turned, offsets[-1:], x, dz, kept, gates
    of_gates, of_rows = (outputs, 1), (inputs, 1)
    found = [
        Product(gates, kept, dw, outputs, inputs, n, of_gates[::-1], of_rows, inputs, status=status)
    ]
    if dx is not None:
        found.append(Product(gates, w, dx, n, inputs, outputs, of_gates, of_rows, inputs))
    return [over(_keep_counted, n * max(inputs, outputs), *words), *make(found)]


@device
def _turned_back(column: int, turned: int, outputs: int) -> int:
    """The row of w of a column of gates."""
    return column - turned if column >= turned else column - turned + outputs


@device
def _gate_bias(m: Memory, w: int, k: int) -> None:
    outputs, wide, turned = m.ints[w], m.ints[w + 1], m.ints[w + 4]
    b_ih, b_hh = part(m.reals, m.ints[w + 2], outputs), part(m.reals, m.ints[w + 3], outputs)
    apart, bias = m.ints[w + 5] != 0, part(m.reals, m.ints[w + 6], wide)
    zero = number(m.reals, 0.0)
    for i in range(cuda.grid(1), wide, cuda.gridsize(1)):
        if i >= outputs:
            bias[i] = b_hh[i - turned] if apart else zero
        else:
            row = _turned_back(i, turned, outputs)
            bias[i] = b_ih[row] if apart and i < turned else b_ih[row] + b_hh[row]


@kernel
def gate_bias(b_ih: Array, b_hh: Array, turned: int, apart: int, bias: Array) -> list[Phase]:
    words = len(b_ih), len(bias), b_ih, b_hh, turned, apart, bias
    return [over(_gate_bias, len(bias), *words)]


@device
def _gate_bias_backward(m: Memory, w: int, k: int) -> None:
    """A thread takes a column, and adds the pieces that it has been summed in."""
    pieces, outputs, wide, turned = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 4]
    apart, status = m.ints[w + 5] != 0 and turned > 0, m.ints[w + 8]
    db_ih, db_hh = part(m.reals, m.ints[w + 6], outputs), part(m.reals, m.ints[w + 7], outputs)
    for i in range(cuda.grid(1), wide if apart else outputs, cuda.gridsize(1)):
        found = sum_down(m, m.ints[w + 3], pieces, wide, i)
        if i >= outputs:
            db_hh[i - turned] = found
        else:
            row = _turned_back(i, turned, outputs)
            db_ih[row] = found
            if i >= turned or not apart:
                db_hh[row] = found
        if status != 0 and not finite(found):
            m.ints[status] = 1


@kernel
def gate_bias_backward(
    dz: Array, offsets: Array, turned: int, apart: int, db_ih: Array, db_hh: Array,
    status: Array | None,
) -> list[Phase]:  # fmt: skip
    phases, sums, pieces = pieces_of(dz, offsets[-1:])
    outputs, wide = len(db_ih), dz.shape[1]
    words = pieces, outputs, wide, sums, turned, apart, db_ih, db_hh, status
    return [*phases, over(_gate_bias_backward, wide, *words, work=wide * pieces)]


@device
def _gate_table(m: Memory, w: int, k: int) -> None:
    """A block takes some rows of the table, so that a thread reads what is side by side in w."""
    count, outputs, wide, turned = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 5]
    weight, bias = part(m.reals, m.ints[w + 3], outputs * count), part(m.reals, m.ints[w + 4], wide)
    table = part(m.reals, m.ints[w + 6], count * wide)
    across = -(-wide // BLOCK)
    for tile in range(cuda.blockIdx.x, -(-count // DEEP) * across, cuda.gridDim.x):
        start, first = tile // across * DEEP, tile % across * BLOCK
        for i in range(first + cuda.threadIdx.x, min(first + BLOCK, wide), cuda.blockDim.x):
            row = _turned_back(i, turned, outputs)
            for v in range(start, min(start + DEEP, count)):
                table[v * wide + i] = weight[row * count + v] + bias[i] if i < outputs else bias[i]


@kernel
def gate_table(w: Array, bias: Array, turned: int, table: Array) -> list[Phase]:
    (outputs, count), wide = w.shape, len(bias)
    return [_by_tiles(_gate_table, count, wide, outputs, wide, w, bias, turned, table)]


@device
def _gate_table_backward(m: Memory, w: int, k: int) -> None:
    """As in the other direction."""
    count, outputs, wide, turned = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 4]
    dtable, status = part(m.reals, m.ints[w + 3], count * wide), m.ints[w + 6]
    dw = part(m.reals, m.ints[w + 5], outputs * count)
    across = -(-outputs // BLOCK)
    for tile in range(cuda.blockIdx.x, -(-count // DEEP) * across, cuda.gridDim.x):
        start, first = tile // across * DEEP, tile % across * BLOCK
        for i in range(first + cuda.threadIdx.x, min(first + BLOCK, outputs), cuda.blockDim.x):
            row = _turned_back(i, turned, outputs)
            for v in range(start, min(start + DEEP, count)):
                found = dtable[v * wide + i]
                dw[row * count + v] = found
                if status != 0 and not finite(found):
                    m.ints[status] = 1


@kernel
def gate_table_backward(dtable: Array, turned: int, dw: Array, status: Array | None) -> list[Phase]:
    (outputs, count), wide = dw.shape, dtable.shape[1]
    words = outputs, wide, dtable, turned, dw, status
    return [_by_tiles(_gate_table_backward, count, outputs, *words)]


def _by_tiles(function: Callable[..., None], count: int, columns: int, *words: Word) -> Phase:
    """A phase with a block for each tile of a table of so many rows."""
    tiles = -(-count // DEEP) * -(-columns // BLOCK)
    return rows(function, tiles, DEEP * BLOCK, count, *words)
