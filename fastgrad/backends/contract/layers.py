"""Kernels of layers that take rows, and products of matrices."""

KERNELS = {
    # c = a b + bias, or c += a b; b turned is b', a turned is a'
    "product_nn": "a[M,K] b[K,N] bias[N]? accumulate:int -> c[M,N]",
    "product_nt": "a[M,K] b[N,K] bias[N]? accumulate:int -> c[M,N]",
    "product_tn": "a[K,M] b[K,N] bias[N]? accumulate:int -> c[M,N]",
    # dense layer: y = f(x w' + b). slope keeps f'(z) where it is no function of y (gelu, silu).
    "dense_forward": "x[N,I] w[O,I] b[O]? activation:activation alpha:float -> y[N,O] slope[N,O]?",
    # dy is overwritten with dz = dy f'(z); dx is left out for a first layer.
    "dense_backward": "x[N,I] w[O,I] y[N,O] slope[N,O]? activation:activation alpha:float"
    " -> dy[N,O]! dx[N,I]? dw[O,I] db[O]? status[1]:i8?",
    # the status, for gradients that Python code has written
    "check_finite": "g[P] -> status[1]:i8",
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
}
