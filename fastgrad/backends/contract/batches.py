"""Kernels of the start and end of minibatches and steps."""

KERNELS = {
    # a minibatch: rows order[cursor:cursor+N] of the data
    "gather_rows": "source[R,F] order[M]:i8<R cursor[1]:i8 -> out[N,F]",
    "gather_labels": "source[R]:i8 order[M]:i8<R cursor[1]:i8 -> out[N]:i8",
    # what each step of sequences counts: sample_weight of its row, or 1, but 0 from lengths on
    "sequence_weights": "lengths[N]:i8? sample_weight[N]? -> weight[N,T]",
    # the end of a minibatch: total += count * loss, count, where that is the sum of lengths, or
    # without them rows; cursor moves on by rows; batches counts
    "end_batch": "loss[1]:f8 rows:int lengths[N]:i8? -> total[2]:f8! cursor[1]:i8! batches[1]:i8!",
    "end_step": "-> step[1]:i8!",
}
