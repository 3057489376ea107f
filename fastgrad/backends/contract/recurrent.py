"""Kernels of sequences and recurrent layers."""

KERNELS = {
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
}
