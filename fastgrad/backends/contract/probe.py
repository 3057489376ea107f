"""What the probe sees of gradients, updates and outputs, and its notes of each step."""

KERNELS = {
    # Of block i, blocks[i] to blocks[i+1]: norm and largest size of its elements, and
    # how many are 0, denormal, and not finite; norms of what p was before, and of the difference.
    "see_gradient": "g[P] blocks[B+1]:i8 -> seen[B,5]:f8",
    "see_update": "p[P] before[P] blocks[B+1]:i8 -> moved[B,2]:f8",
    # tensor s has the blocks groups[s] to groups[s+1], of whose zeros spare[s] lie behind its end;
    # row step % K of the rings is written: the statistics of all tensors; loss and learning rate
    "note_update": "seen[B,5]:f8 moved[B,2]:f8 groups[S+1]:i8 spare[S]:i8 loss[1]:f8 rate[1]:f8"
    " step[1]:i8 -> tensors[K,S,7]:f8! losses[K,2]:f8!",
    # Of each 8 rows the sum of y, that of its squares, and how many elements are alive: y, or where
    # there are slopes their squares, between low and high. alive[f] becomes 1 where one in column f
    # is. Without `alive` nothing is counted.
    "see_output": "y[N,F] slope[N,F]? low:float high:float -> alive[F]!? parts[M,3]:f8!",
    # of each 8 rows the sum of squares
    "see_delta": "dy[N,F] -> sums[M]:f8!",
    # Of layer places[p], to which rows[p,0] to rows[p,1] of parts and sums belong, and the units
    # units[p,0] to units[p,1], if any are counted: ring[step % K, place] becomes mean and standard
    # deviation of so many outputs (NaN and infinite of none), fractions of them and of the units
    # that are not alive, and the norm of the gradient; lived[u] becomes 1 where alive[u] is, and
    # that 0.
    "note_outputs": "parts[Q,3]:f8 sums[Q]:f8 rows[D,2]:i8 units[D,2]:i8 elements[D]:f8"
    " places[D]:i8<L step[1]:i8 -> alive[U]! lived[U]! ring[K,L,5]:f8!",
    # ring[step % K] = flow, of the step that stamps says
    "note_flow": "flow[T,3]:f8 step[1]:i8 -> ring[K,T,3]:f8! stamps[K]:i8!",
}
