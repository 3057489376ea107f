"""The kernel contract: every kernel's name, arguments and shapes, checked at one door.

A line of `CONTRACT` is a kernel's signature. Arguments before ``->`` are read, those after it are
written. ``x[N,I]`` is a C-contiguous array of the call's one float dtype, ``target[N]:i8`` and
``loss[1]:f8`` are int64 and float64 arrays, ``b[O]?`` may be None, ``alpha:float`` is a number.
A name stands for one size in the whole call, ``T+1`` for one more than T, ``4H`` for four times H.
``dy[N,O]!`` is read first and then overwritten. Buffers must not overlap, except that an output
marked ``~x`` may be the very array given as x.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

CONTRACT = {
    # c = a b + bias, or c += a b; b turned is b', a turned is a'
    "product_nn": "a[M,K] b[K,N] bias[N]? accumulate:int -> c[M,N]",
    "product_nt": "a[M,K] b[N,K] bias[N]? accumulate:int -> c[M,N]",
    "product_tn": "a[K,M] b[K,N] bias[N]? accumulate:int -> c[M,N]",
    # dense layer: y = f(x w' + b). slope keeps f'(z) where it is no function of y (gelu, silu).
    "dense_forward": "x[N,I] w[O,I] b[O]? activation:activation alpha:float -> y[N,O] slope[N,O]?",
    # In these and the losses, status[0] becomes 1 where a gradient of a parameter, or the loss, is
    # not finite; the replay then stops after the call.
    # dy is overwritten with dz = dy f'(z); dx is left out for a first layer.
    "dense_backward": "x[N,I] w[O,I] y[N,O] slope[N,O]? activation:activation alpha:float"
    " -> dy[N,O]! dx[N,I]? dw[O,I] db[O]? status[1]:i8?",
    # an activation on its own, over any shape laid flat
    "activation_forward": "x[n] activation:activation alpha:float -> y[n]~x slope[n]?",
    "activation_backward": "y[n] slope[n]? dy[n] activation:activation alpha:float -> dx[n]~dy",
    # y = x + s f, the way around some layers; s is scale[0], or factor where that is None
    "residual_forward": "x[N,F] f[N,F] scale[1]? factor:float -> y[N,F]",
    # df = s dy, and the gradient of scale, for which rows[i] is the sum over row i of f dy
    "residual_backward": "f[N,F] dy[N,F] scale[1]? factor:float"
    " -> df[N,F] dscale[1]? rows[N]:f8 status[1]:i8?",
    # y += x
    "add": "x[N,F] -> y[N,F]!",
    # columns start to start + F of y
    "put_columns": "x[N,F] start:int -> y[N,G]!",
    "take_columns": "y[N,G] start:int -> x[N,F]",
    # y[i] = w[x[i]]; of the gradient of w the row `padding` is 0. The rest are notes of the kernel.
    "embedding_forward": "w[V,F] x[N]:i8<V -> y[N,F]",
    "embedding_backward": "x[N]:i8<V dy[N,F] padding:int"
    " -> dw[V,F]! place[V]:i8 chains[4,N]:i8 count[1]:i8 status[1]:i8?",
    # Sequences in steps. Sequence order[i] of x comes i-th, the longest first, and step t is the
    # rows offsets[t] to offsets[t+1], one for each sequence longer than t. What lies behind the
    # last step means nothing. With reverse a sequence is read from its own last step to its first.
    "sequence_plan": "lengths[N]:i8 -> order[N]:i8 offsets[T+1]:i8",
    # y takes columns of x, from `start` on; and y's columns, which are 0 in the padding, or where
    # `add`, to which x is added
    "to_steps": "x[N,T,G] start:int order[N]:i8<N offsets[T+1]:i8 reverse:int -> y[R,F]",
    "from_steps": "x[R,F] start:int order[N]:i8<N offsets[T+1]:i8 reverse:int add:int -> y[N,T,G]!",
    # behind the last step comes -1, which is no index
    "indices_to_steps": "x[N,T]:i8 order[N]:i8<N offsets[T+1]:i8 reverse:int -> y[R]:i8",
    # what a recurrent layer keeps for all steps starts with N rows of its initial state; this is
    # what it ends with for sequence order[i], into columns of y
    "last_steps": "x[Q,F] start:int order[N]:i8<N offsets[T+1]:i8 -> y[N,G]!",
    # y[i] = x[order[i]], or is added to; and the other way, y[order[i]] = x[i]
    "take_rows": "x[N,G] start:int order[N]:i8<N add:int -> y[N,F]!",
    "put_rows": "x[N,F] order[N]:i8<N -> y[N,F]",
    # every row of y, zeros without a row; and the gradient of that row
    "fill_rows": "row[F]? -> y[N,F]",
    "sum_rows": "x[N,F] -> sums[F] status[1]:i8?",
    # The part of gates that comes from the inputs, z = bias + x w'. With turned, that of a GRU: w
    # has the blocks r, z, n of so many rows, z the blocks n, r, z, and one more of bias alone.
    "gate_inputs_forward": "x[R,I] w[O,I] bias[G] offsets[T+1]:i8 turned:int -> z[R,G]",
    "gate_inputs_backward": "x[R,I] w[O,I] dz[R,G] offsets[T+1]:i8 turned:int"
    " -> dx[R,I]? dw[O,I] status[1]:i8?",
    # bias = b_ih + b_hh, but the last block of a GRU with `apart` is that of b_hh, else 0
    "gate_bias": "b_ih[O] b_hh[O] turned:int apart:int -> bias[G]",
    "gate_bias_backward": "dz[R,G] offsets[T+1]:i8 turned:int apart:int"
    " -> db_ih[O] db_hh[O] status[1]:i8?",
    # what gate_inputs_forward gives for each one-hot x, and the gradient of w out of that of these
    "gate_table": "w[O,V] bias[G] turned:int -> table[V,G]",
    "gate_table_backward": "dtable[V,G] turned:int -> dw[O,V] status[1]:i8?",
    # Recurrent layers. h and c start with N rows of the initial state and go on in steps; gates, in
    # steps, are what comes from the inputs (where x is given, made here as gate_inputs_forward does
    # it), then the gates (RNN: f' where it needs to be kept), then their gradient. dh0 and dc0 hold
    # the gradient of the initial state where `initial` asks for it. flow[t] is the norm of dL/dh_t,
    # the norm of dL/dc_t, and what step t makes of gradients: the norm of what it hands on to the
    # step before over that of what it was given (NaN where there is none); squares, by row, what
    # these are made of. Where there is `ready`, which starts with 0, panels are those of the last
    # call with it, and its weights count.
    # h = f(z + h w')
    "rnn_forward": "offsets[T+1]:i8 x[R,I]? w_ih[H,I]? bias[H]? w[H,H] activation:activation"
    " alpha:float -> gates[R,H]! h[Q,H]! panels[W] ready[1]:i8!?",
    "rnn_backward": "offsets[T+1]:i8 w[H,H] activation:activation alpha:float h[Q,H] dy[R,H]?"
    " dh_last[N,H]? initial:int -> gates[R,H]! dw[H,H] dh0[N,H] flow[T,3]:f8 squares[R,4]:f8"
    " panels[W] status[1]:i8?",
    # blocks i, f, g, o: c = f c + i g, h = o tanh(c); peepholes add p_i c, p_f c, p_o of the new c
    "lstm_forward": "offsets[T+1]:i8 x[R,I]? w_ih[4H,I]? bias[4H]? w[4H,H]"
    " p_i[H]? p_f[H]? p_o[H]? -> gates[R,4H]! h[Q,H]! c[Q,H]! panels[W] ready[1]:i8!?",
    "lstm_backward": "offsets[T+1]:i8 w[4H,H] p_i[H]? p_f[H]? p_o[H]? h[Q,H] c[Q,H] dy[R,H]?"
    " dh_last[N,H]? dc_last[N,H]? initial:int -> gates[R,4H]! dw[4H,H] dp_i[H]? dp_f[H]? dp_o[H]?"
    " dh0[N,H] dc0[N,H] flow[T,3]:f8 squares[R,4]:f8 panels[W] status[1]:i8?",
    # The same with gates = z + norm_h LN(sums) for sums = h w', and h = o seen for
    # seen = tanh(norm_c LN(c) + bias_c), where LN brings a row to mean 0 and variance 1 as
    # layer_norm_forward does, with its mean and scale. seen becomes the gradient of what it is the
    # tanh of, d_sums is that of sums.
    "lstm_norm_forward": "offsets[T+1]:i8 w[4H,H] norm_h[4H] norm_c[H] bias_c[H] eps:float"
    " -> gates[R,4H]! h[Q,H]! c[Q,H]! sums[R,4H] seen[R,H] mean_h[R]:f8 scale_h[R]:f8"
    " mean_c[R]:f8 scale_c[R]:f8 panels[W] ready[1]:i8!?",
    "lstm_norm_backward": "offsets[T+1]:i8 w[4H,H] norm_h[4H] norm_c[H] h[Q,H] c[Q,H] sums[R,4H]"
    " mean_h[R]:f8 scale_h[R]:f8 mean_c[R]:f8 scale_c[R]:f8 dy[R,H]? dh_last[N,H]? dc_last[N,H]?"
    " initial:int -> gates[R,4H]! seen[R,H]! d_sums[R,4H] dw[4H,H] dh0[N,H] dc0[N,H] flow[T,3]:f8"
    " squares[R,4]:f8 panels[W] status[1]:i8?",
    # h = (1 - z) n + z h, w in the blocks r, z, n, gates in n, r, z, m with m = w_n h + bias and
    # n = tanh(.. + r m), or where `before`, m = r h, which stays, and n = tanh(.. + w_n m)
    "gru_forward": "offsets[T+1]:i8 x[R,I]? w_ih[3H,I]? bias[4H]? w[3H,H] before:int"
    " -> gates[R,4H]! h[Q,H]! panels[W] ready[1]:i8!?",
    "gru_backward": "offsets[T+1]:i8 w[3H,H] before:int h[Q,H] dy[R,H]? dh_last[N,H]? initial:int"
    " -> gates[R,4H]! dw[3H,H] dh0[N,H] spare[N,H] flow[T,3]:f8 squares[R,4]:f8 panels[W]"
    " status[1]:i8?",
    # y = (x - mean) / scale
    "standardize_forward": "x[N,F] mean[F] scale[F] -> y[N,F]",
    "standardize_backward": "dy[N,F] scale[F] -> dx[N,F]~dy",
    # each column over the rows of the batch; var is biased, and unbiased in running_var
    "batch_norm_forward": "x[N,F] weight[F]? bias[F]? eps:float -> y[N,F] mean[F]:f8 var[F]:f8",
    "batch_norm_backward": "x[N,F] weight[F]? mean[F]:f8 var[F]:f8 dy[N,F] eps:float"
    " -> dx[N,F]?~dy dweight[F]? dbias[F]? status[1]:i8?",
    "batch_norm_update": "mean[F]:f8 var[F]:f8 rows:int momentum:float"
    " -> running_mean[F]! running_var[F]!",
    "batch_norm_predict": "x[N,F] weight[F]? bias[F]? running_mean[F] running_var[F] eps:float"
    " -> y[N,F]",
    # y = x / (1 - p) where the element is kept, else 0, which the hash of seed, count[0], layer and
    # the element's place in x decides; both passes of dropout
    "dropout": "x[N,F] p:float seed:int layer:int count[1]:i8 -> y[N,F]~x",
    # y = v weight + bias for v = (x - mean) scale: row i's mean, 0 unless center, and
    # scale[i] = 1 / sqrt(mean of (x - mean)^2 + eps). With offsets, x is in steps, and the rows
    # behind the last one are left alone.
    "layer_norm_forward": "x[R,F] weight[F]? bias[F]? center:int eps:float offsets[T+1]:i8?"
    " -> y[R,F] mean[R]:f8 scale[R]:f8",
    "layer_norm_backward": "x[R,F] weight[F]? center:int mean[R]:f8 scale[R]:f8 dy[R,F]"
    " offsets[T+1]:i8? -> dx[R,F]?~dy dweight[F]? dbias[F]? status[1]:i8?",
    # out = f(x) for f in exp, expm1, tanh, sigmoid, erf, log1p, log
    "elementwise": "function:function x[n] -> out[n]~x",
    # losses: rows[i] is the unweighted loss of row i, loss the weighted mean, dz its gradient
    "mse": "z[N,O] target[N,O] sample_weight[N]? -> dz[N,O] rows[N]:f8 loss[1]:f8 status[1]:i8?",
    "mae": "z[N,O] target[N,O] sample_weight[N]? -> dz[N,O] rows[N]:f8 loss[1]:f8 status[1]:i8?",
    "huber": "z[N,O] target[N,O] sample_weight[N]? delta:float"
    " -> dz[N,O] rows[N]:f8 loss[1]:f8 status[1]:i8?",
    # Smoothing mixes each target with the uniform distribution over the classes, or over 0 and 1:
    # (1 - smoothing) target + smoothing / classes.
    "binary_cross_entropy": "z[N,O] target[N,O] sample_weight[N]? smoothing:float"
    " -> dz[N,O] rows[N]:f8 loss[1]:f8 status[1]:i8?",
    # Where there are class weights and smoothing, rows[i] has the class weights in it.
    "cross_entropy": "z[N,C] target[N]:i8<C class_weight[C]? sample_weight[N]? smoothing:float"
    " -> dz[N,C] rows[N]:f8 loss[1]:f8 status[1]:i8?",
    "soft_cross_entropy": "z[N,C] target[N,C] sample_weight[N]? smoothing:float"
    " -> dz[N,C] rows[N]:f8 loss[1]:f8 status[1]:i8?",
    # loss += sum(l1 |w| + l2 w^2), and its gradient to g, with factors for each block of w;
    # block i covers w[blocks[i]:blocks[i+1]], and sums[i] is what it adds to the loss
    "penalty": "w[P] blocks[B+1]:i8 l1[B]:f8 l2[B]:f8"
    " -> g[P]! sums[B]:f8 loss[1]:f8! status[1]:i8?",
    # g += scale[i] N(0, eta / (1 + count[0])^gamma) in block i, hashed from seed, count[0], layer
    # and the element's place; report: steps, steps that acted, NaN, 1, steps, 1
    "gradient_noise": "eta:float gamma:float seed:int layer:int count[1]:i8 blocks[B+1]:i8"
    " scale[B]:f8 -> g[P]! report[6]:f8!",
    # one pass over the flat arenas; step[0] counts the steps done, hyper is read at every replay
    # hyper: lr, momentum, dampening, weight_decay, nesterov
    "sgd": "g[P] hyper[5]:f8 step[1]:i8 -> p[P]! velocity[P]!?",
    # hyper: lr, alpha, eps, weight_decay, momentum; centered where there is a mean
    "rmsprop": "g[P] hyper[5]:f8 step[1]:i8 -> p[P]! square[P]! velocity[P]!? mean[P]!?",
    # hyper: lr, lr_decay, weight_decay, eps
    "adagrad": "g[P] hyper[4]:f8 step[1]:i8 -> p[P]! square[P]!",
    # hyper: lr, rho, eps, weight_decay
    "adadelta": "g[P] hyper[4]:f8 step[1]:i8 -> p[P]! square[P]! square_delta[P]!",
    # hyper: lr (not read), etas, step_sizes; previous is the sign of the last gradient
    "rprop": "g[P] hyper[5]:f8 step[1]:i8 -> p[P]! previous[P]! step_size[P]!",
    # hyper: lr, betas, weight_decay
    "lion": "g[P] hyper[4]:f8 step[1]:i8 -> p[P]! mean[P]!",
    # hyper: lr, betas, eps, weight_decay, decoupled, a factor of lr; amsgrad where there is largest
    "adam": "g[P] hyper[7]:f8 step[1]:i8 -> p[P]! mean[P]! square[P]! largest[P]!?",
    # hyper: lr, betas, eps, weight_decay
    "adamax": "g[P] hyper[5]:f8 step[1]:i8 -> p[P]! mean[P]! largest[P]!",
    # hyper: lr, betas, eps, weight_decay, decoupled, momentum_decay
    "nadam": "g[P] hyper[7]:f8 step[1]:i8 -> p[P]! mean[P]! square[P]!",
    # hyper: lr, betas, eps, weight_decay, decoupled
    "radam": "g[P] hyper[6]:f8 step[1]:i8 -> p[P]! mean[P]! square[P]!",
    # Tensors are groups of blocks, each cut as for group_norms; ratios is what norms make of lr.
    # hyper: lr, betas, eps, weight_decay
    "lamb": "g[P] hyper[5]:f8 step[1]:i8 blocks[B+1]:i8 groups[S+1]:i8"
    " -> p[P]! mean[P]! square[P]! update[P] squares[B,2]:f8 ratios[S]:f8",
    # hyper: lr, momentum, weight_decay, trust_coefficient, eps, nesterov
    "lars": "g[P] hyper[6]:f8 blocks[B+1]:i8 groups[S+1]:i8"
    " -> p[P]! velocity[P]!? update[P] squares[B,2]:f8 ratios[S]:f8",
    # A matrix, with room for it and for its Gram matrix, whose side L is the shorter one.
    # hyper: the seven of adam, of which only lr is read; momentum, nesterov, weight_decay, eps,
    # ns_coefficients, ns_steps, whether lr is adjusted to match the root mean square of AdamW
    "muon": "g[O,I] hyper[16]:f8 -> p[O,I]! mean[O,I]! x[O,I] y[O,I] gram[L,L] polynomial[L,L]"
    " squares[O]:f8",
    # the same for gradients that Python code has written
    "check_finite": "g[P] -> status[1]:i8",
    # Clips. Block i is the elements blocks[i] to blocks[i+1], group s the blocks groups[s] to
    # groups[s+1]; its norm is norms[s,0] norms[s,1], two factors because the product may leave
    # float64. norms[s,0] is 0 where all elements are, and infinite where one is not finite.
    "group_norms": "x[P] blocks[B+1]:i8 groups[S+1]:i8 -> sums[B,2]:f8 norms[S,2]:f8",
    # Each finite group of g is multiplied so that its norm lies in [bounds[s,0], bounds[s,1]].
    # report: steps; steps that acted; of the last step the largest norm and the factor farthest
    # from 1; sum over steps of norm after / norm before, of all groups together; of all steps the
    # factor farthest from 1
    "rescale": "norms[S,2]:f8 bounds[S,2]:f8 blocks[B+1]:i8 groups[S+1]:i8 -> g[P]! report[6]:f8!",
    # bounds[s] = 0, factor max(norm of s, eps)
    "relative_bounds": "norms[S,2]:f8 factor:float eps:float -> bounds[S,2]:f8",
    # bounds = 0, percentile of the last W norms, this one included: arrived[count[0] % W] is the
    # next to be replaced, ordered has them by size. Only those that are finite and not 0 count.
    "percentile_bounds": "norms[1,2]:f8 percentile:float"
    " -> bounds[1,2]:f8 arrived[W]:f8! ordered[W]:f8! count[1]:i8!",
    # bounds = 0, ZClip's limit; moments: norms seen, their running mean and standard deviation
    "z_score_bounds": "norms[1,2]:f8 threshold:float alpha:float warmup:int min_std:float"
    " max_norm:float -> bounds[1,2]:f8 moments[3]:f8!",
    # every element into [-limit, limit]; the report is that of rescale for all blocks as one group
    "clip_value": "limit:float blocks[B+1]:i8 -> g[P]! sums[B,5]:f8 report[6]:f8!",
    # a minibatch: rows order[cursor:cursor+N] of the data
    "gather_rows": "source[R,F] order[M]:i8<R cursor[1]:i8 -> out[N,F]",
    "gather_labels": "source[R]:i8 order[M]:i8<R cursor[1]:i8 -> out[N]:i8",
    # what each step of sequences counts: sample_weight of its row, or 1, but 0 from lengths on
    "sequence_weights": "lengths[N]:i8? sample_weight[N]? -> weight[N,T]",
    # the end of a minibatch: total += count * loss, count, where that is the sum of lengths, or
    # without them rows; cursor moves on by rows; batches counts
    "end_batch": "loss[1]:f8 rows:int lengths[N]:i8? -> total[2]:f8! cursor[1]:i8! batches[1]:i8!",
    "end_step": "-> step[1]:i8!",
    # values[places] = table[step - first], the last row beyond the table
    "schedule": "table[K,C]:f8 places[C]:i8<H first[1]:i8 step[1]:i8 -> values[H]:f8!",
    # y = keep y + add x; what y holds does not matter where keep is 0
    "blend": "x[P] keep:float add:float -> y[P]!",
    # the mean of p over the steps, each weighing decay times what the next one weighs
    "average": "p[P] decay:float step[1]:i8 -> mean[P]!",
}

ACTIVATIONS = (
    "identity", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus",
    "softsign", "tanh", "sigmoid",
)  # fmt: skip
# Their derivative is no function of the output: the forward pass leaves it in `slope`.
NEED_SLOPE = ("gelu", "gelu_tanh", "silu")
FUNCTIONS = ("exp", "expm1", "tanh", "sigmoid", "erf", "log1p", "log")

_ARGUMENT = re.compile(
    r"(?P<name>\w+)(\[(?P<dims>[^\]]*)\])?(:(?P<kind>\w+))?(<(?P<below>\w+))?"
    r"(?P<keep>!)?(?P<optional>\?)?(~(?P<alias>\w+))?$"
)
_SCALARS: dict[str, tuple[type, ...]] = {
    "float": (float, int, np.floating, np.integer),
    "int": (int, np.integer),
    "activation": (str,),
    "function": (str,),
}
_NAMES = {"activation": ACTIVATIONS, "function": FUNCTIONS}


@dataclass(frozen=True)
class Argument:
    """One argument of a kernel, as its line of the contract states it."""

    name: str
    dims: tuple[str, ...] | None
    kind: str | None
    below: str | None
    optional: bool
    written: bool
    alias: str | None


@functools.cache
def arguments(kernel: str) -> tuple[Argument, ...]:
    """The parsed contract of `kernel`."""
    parsed = []
    written = False
    for word in CONTRACT[kernel].split():
        if word == "->":
            written = True
            continue
        m = _ARGUMENT.match(word)
        if m is None:
            raise ValueError(f"contract of {kernel}: cannot read {word!r}")
        dims = None if m["dims"] is None else tuple(m["dims"].split(","))
        optional = bool(m["optional"])
        parsed.append(
            Argument(m["name"], dims, m["kind"], m["below"], optional, written, m["alias"])
        )
    return tuple(parsed)


@functools.cache
def size_of(dim: str) -> tuple[int, str, int]:
    """A dimension as a factor, a name ("" for none) and what is added to their product."""
    m = re.fullmatch(r"(\d*)([A-Za-z]?)(?:\+(\d+))?", dim)
    if m is None:
        raise ValueError(f"cannot read dimension {dim!r}")
    return int(m[1] or 1), m[2], int(m[3] or 0)


def room(blocks: int, units: int, sequences: int, inputs: int = 0) -> int:
    """Elements that `panels` needs: both weights in whole vectors, and rows that threads share."""
    wide = -(-units // 16) * 16
    return blocks * wide * (units + inputs) + 8 * sequences * units


def check(kernel: str, values: tuple[Any, ...], recording: bool = False) -> None:
    """Hold the arguments of one call against the contract.

    With `recording`, index values are not looked at: at that time the buffers are still empty, and
    whoever fills them checks what he puts in.

    Raises
    ------
    TypeError, ValueError
        Naming kernel and argument, what it is and what it must be.
    """
    sizes: dict[str, int] = {}
    dtype: np.dtype[Any] | None = None
    specs = arguments(kernel)
    if len(values) != len(specs):
        raise TypeError(f"{kernel}: takes {len(specs)} arguments, got {len(values)}")
    given = dict(zip((a.name for a in specs), values, strict=True))
    for a in specs:
        value = given[a.name]
        where = f"{kernel}: {a.name}"
        if a.dims is None:
            assert a.kind is not None
            if not isinstance(value, _SCALARS[a.kind]):
                raise TypeError(f"{where} must be a {a.kind}, got {value!r}")
            if a.kind in _NAMES and value not in _NAMES[a.kind]:
                known = ", ".join(_NAMES[a.kind])
                raise ValueError(f"{where} must be one of {known}, got {value!r}")
            continue
        if value is None and a.optional:
            continue
        if not isinstance(value, np.ndarray):
            raise TypeError(f"{where} must be an array, got {type(value).__name__}")
        if a.kind is None:
            if value.dtype not in (np.float32, np.float64) or (dtype and value.dtype != dtype):
                wanted = dtype or "float32 or float64"
                raise TypeError(f"{where} has dtype {value.dtype}, needs {wanted}")
            dtype = value.dtype
        elif value.dtype != np.dtype(a.kind):
            raise TypeError(f"{where} has dtype {value.dtype}, needs {np.dtype(a.kind)}")
        _check_shape(where, value, a.dims, sizes)
        if not value.flags.c_contiguous:
            raise ValueError(f"{where} must be C-contiguous, got strides {value.strides}")
        if not value.flags.aligned:
            raise ValueError(f"{where} must be aligned to its elements of {value.dtype}")
        if a.written and not value.flags.writeable:
            raise ValueError(f"{where} is written to, but the array is read-only")
    if kernel == "muon" and sizes["L"] != min(sizes["O"], sizes["I"]):
        side = min(sizes["O"], sizes["I"])
        raise ValueError(f"muon: gram has shape {given['gram'].shape}, needs {(side, side)}")
    if not recording:
        _check_indices(kernel, specs, given, sizes)
        _check_ranges(kernel, given)
    if "turned" in given:
        _check_turned(kernel, given)
    if "w_ih" in given and len({given[n] is None for n in ("x", "w_ih", "bias")}) > 1:
        raise ValueError(f"{kernel}: x, w_ih and bias must be given all three or not at all")
    if "panels" in given:
        units, inputs = given["w"].shape[1], sizes.get("I", 0)
        blocks = len(given["w"]) // max(units, 1)
        needed = room(blocks, units, sizes["Q"] - sizes["R"], inputs)
        if given["panels"].size < needed:
            size = given["panels"].size
            raise ValueError(f"{kernel}: panels has {size} elements, needs {needed}")
    no_slope = "slope" in given and given["slope"] is None
    if no_slope and kernel.endswith("backward") and given["activation"] in NEED_SLOPE:
        raise ValueError(f"{kernel}: slope is None, but {given['activation']} needs it")
    if "start" in given:
        start, most = given["start"], sizes["G"] - sizes["F"]
        if not 0 <= start <= most:
            raise ValueError(f"{kernel}: start must lie in [0, {most}], got {start}")
    _check_overlap(kernel, specs, given)


def _check_indices(
    kernel: str, specs: tuple[Argument, ...], given: dict[str, Any], sizes: dict[str, int]
) -> None:
    for a in specs:
        value = given[a.name]
        if a.below and value.size:
            low, high, limit = int(value.min()), int(value.max()), sizes[a.below]
            if low < 0 or high >= limit:
                raise ValueError(f"{kernel}: {a.name} must lie in [0, {limit}), got {low}..{high}")


def _check_shape(
    where: str, value: np.ndarray, dims: tuple[str, ...], sizes: dict[str, int]
) -> None:
    needed = []
    for i, dim in enumerate(dims):
        times, symbol, extra = size_of(dim)
        if symbol and symbol not in sizes:
            size = value.shape[i] if i < value.ndim else extra
            sizes[symbol] = max(size - extra, 0) // times
        needed.append(times * sizes.get(symbol, 1) + extra)
    if value.shape != tuple(needed):
        wanted = f"[{','.join(dims)}] = {tuple(needed)}"
        raise ValueError(f"{where} has shape {value.shape}, needs {wanted}")


def _check_ranges(kernel: str, given: dict[str, Any]) -> None:
    """What index arrays point to must exist; `<` in the contract says the same of single values."""
    if kernel.startswith("gather"):
        start, rows, all_rows = int(given["cursor"][0]), len(given["out"]), len(given["order"])
        if start < 0 or start + rows > all_rows:
            raise ValueError(
                f"{kernel}: cursor is {start}, needs 0 to {all_rows - rows} for {rows} rows "
                f"of {all_rows}"
            )
    if kernel == "sequence_plan":
        lengths, most = given["lengths"], given["offsets"].size - 1
        if lengths.size and (lengths.min() < 0 or lengths.max() > most):
            found = f"{lengths.min()}..{lengths.max()}"
            raise ValueError(f"sequence_plan: lengths must lie in [0, {most}], got {found}")
    if given.get("offsets") is not None:
        _check_offsets(kernel, given)
    if "blocks" in given:
        limits = {"blocks": given["x" if "x" in given else "g"].size}
        if "groups" in given:
            limits["groups"] = len(given["blocks"]) - 1
        for name, limit in limits.items():
            edges = given[name]
            if (np.diff(edges, prepend=0, append=limit) < 0).any():
                raise ValueError(f"{kernel}: {name} must rise within [0, {limit}], got {edges}")


def _check_turned(kernel: str, given: dict[str, Any]) -> None:
    """A turned gate array has one block more than its weight, which has three."""
    turned = given["turned"]
    of_weight = next(len(given[name]) for name in ("w", "dw", "b_ih", "db_ih") if name in given)
    wide = next(given[n].shape[-1] for n in ("bias", "dz", "table", "dtable") if n in given)
    if wide != of_weight + turned or (turned and of_weight != 3 * turned):
        raise ValueError(
            f"{kernel}: with turned {turned} a weight of {of_weight} rows does not fit {wide} gates"
        )


def _check_offsets(kernel: str, given: dict[str, Any]) -> None:
    """Steps that never grow, as many rows as there are at most."""
    offsets = given["offsets"]
    if not given["offsets"].size or kernel == "sequence_plan":
        return
    counts = np.diff(offsets)
    rows = [len(given[n]) for n in ("gates", "z", "dz") if n in given]
    if kernel.endswith("_steps"):
        rows.append(len(given["y" if kernel.endswith("to_steps") else "x"]))
    if kernel == "last_steps":  # its first rows are those of the initial state
        rows[0] -= len(given["order"])
    if kernel.startswith("layer_norm"):
        rows.append(len(given["x"]))
    sequences = [len(given[n]) for n in ("order", "dh0") if given.get(n) is not None]
    if "h" in given:  # the first rows are those of the initial state
        sequences.append(len(given["h"]) - len(given["gates"]))
    if offsets[0] or (np.diff(counts, append=0) > 0).any() or (counts < 0).any():
        raise ValueError(f"{kernel}: offsets must start at 0, steps must not grow, got {offsets}")
    if offsets[-1] > min(rows):
        raise ValueError(f"{kernel}: offsets end at {offsets[-1]}, but there are {min(rows)} rows")
    if sequences and counts.size and counts[0] > min(sequences):
        raise ValueError(f"{kernel}: step 0 has {counts[0]} rows of {min(sequences)} sequences")
    if "h" in given and "dh0" in given and sequences[0] != sequences[-1]:
        raise ValueError(
            f"{kernel}: h has {len(given['h'])} rows, needs {sequences[0]} + {rows[0]}"
        )


def _check_overlap(kernel: str, specs: tuple[Argument, ...], given: dict[str, Any]) -> None:
    arrays = [(a, given[a.name]) for a in specs if a.dims is not None and given[a.name] is not None]
    for i, (a, x) in enumerate(arrays):
        for b, y in arrays[i + 1 :]:
            if not (a.written or b.written) or not np.may_share_memory(x, y):
                continue
            same = x.ctypes.data == y.ctypes.data and x.shape == y.shape
            if not (same and a.name == b.alias):
                raise ValueError(f"{kernel}: {a.name} and {b.name} must not overlap")
