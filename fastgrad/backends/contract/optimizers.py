"""Kernels of optimizers, and what else changes parameters and rates."""

KERNELS = {
    # one pass over the flat arenas; step[0] counts the steps done, hyper is read at every replay;
    # where there are blocks, of 8192 elements at most, seen and moved are those of see_gradient and
    # see_update
    # hyper: lr, momentum, dampening, weight_decay, nesterov
    "sgd": "g[P] hyper[5]:f8 step[1]:i8 blocks[B+1]:i8?"
    " -> p[P]! velocity[P]!? seen[B,5]:f8? moved[B,2]:f8?",
    # hyper: lr, alpha, eps, weight_decay, momentum; centered where there is a mean
    "rmsprop": "g[P] hyper[5]:f8 step[1]:i8 blocks[B+1]:i8?"
    " -> p[P]! square[P]! velocity[P]!? mean[P]!? seen[B,5]:f8? moved[B,2]:f8?",
    # hyper: lr, lr_decay, weight_decay, eps
    "adagrad": "g[P] hyper[4]:f8 step[1]:i8 blocks[B+1]:i8?"
    " -> p[P]! square[P]! seen[B,5]:f8? moved[B,2]:f8?",
    # hyper: lr, rho, eps, weight_decay
    "adadelta": "g[P] hyper[4]:f8 step[1]:i8 blocks[B+1]:i8?"
    " -> p[P]! square[P]! square_delta[P]! seen[B,5]:f8? moved[B,2]:f8?",
    # hyper: lr (not read), etas, step_sizes; previous is the sign of the last gradient
    "rprop": "g[P] hyper[5]:f8 step[1]:i8 blocks[B+1]:i8?"
    " -> p[P]! previous[P]! step_size[P]! seen[B,5]:f8? moved[B,2]:f8?",
    # hyper: lr, betas, weight_decay
    "lion": "g[P] hyper[4]:f8 step[1]:i8 blocks[B+1]:i8?"
    " -> p[P]! mean[P]! seen[B,5]:f8? moved[B,2]:f8?",
    # hyper: lr, betas, eps, weight_decay, decoupled, a factor of lr; amsgrad where there is largest
    "adam": "g[P] hyper[7]:f8 step[1]:i8 blocks[B+1]:i8?"
    " -> p[P]! mean[P]! square[P]! largest[P]!? seen[B,5]:f8? moved[B,2]:f8?",
    # hyper: lr, betas, eps, weight_decay
    "adamax": "g[P] hyper[5]:f8 step[1]:i8 blocks[B+1]:i8?"
    " -> p[P]! mean[P]! largest[P]! seen[B,5]:f8? moved[B,2]:f8?",
    # hyper: lr, betas, eps, weight_decay, decoupled, momentum_decay
    "nadam": "g[P] hyper[7]:f8 step[1]:i8 blocks[B+1]:i8?"
    " -> p[P]! mean[P]! square[P]! seen[B,5]:f8? moved[B,2]:f8?",
    # hyper: lr, betas, eps, weight_decay, decoupled
    "radam": "g[P] hyper[6]:f8 step[1]:i8 blocks[B+1]:i8?"
    " -> p[P]! mean[P]! square[P]! seen[B,5]:f8? moved[B,2]:f8?",
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
    # values[places] = table[step - first], the last row beyond the table
    "schedule": "table[K,C]:f8 places[C]:i8<H first[1]:i8 step[1]:i8 -> values[H]:f8!",
    # y = keep y + add x; what y holds does not matter where keep is 0
    "blend": "x[P] keep:float add:float -> y[P]!",
    # the mean of p over the steps, each weighing decay times what the next one weighs
    "average": "p[P] decay:float step[1]:i8 -> mean[P]!",
}
