"""Kernels of losses and penalties."""

KERNELS = {
    # losses: rows[i] is the unweighted loss of row i, loss the weighted mean, dz its gradient
    "mse": "z[N,O] target[N,O] sample_weight[N]? -> dz[N,O] rows[N]:f8 loss[1]:f8 status[1]:i8?",
    "mae": "z[N,O] target[N,O] sample_weight[N]? -> dz[N,O] rows[N]:f8 loss[1]:f8 status[1]:i8?",
    "huber": "z[N,O] target[N,O] sample_weight[N]? delta:float"
    " -> dz[N,O] rows[N]:f8 loss[1]:f8 status[1]:i8?",
    # of a formula for one output and its target, the mean over a row's outputs
    "elementwise_loss": "z[N,O] target[N,O] sample_weight[N]? formula:loss"
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
}
