/* Body of fg_cells.h, once per dtype. */
#define REAL FG_REAL
/* units of a block: a vector, and at least the eight that fg_squares adds at a time */
#define BLOCK (FG_CAT(FG_LANES, FG_SUFFIX) < 8 ? 8 : FG_CAT(FG_LANES, FG_SUFFIX))
#define EACH(k) _Pragma("GCC ivdep") for (int k = 0; k < BLOCK; k++)
static const REAL FG_(fg_zeros)[BLOCK];

/* ---- LSTM: gates i, f, g, o, each `stride` after the one before -------------------------- */

FG_INLINE void FG_(fg_lstm_block)(const int peep, REAL *i, REAL *f, REAL *g, REAL *o,
                                  const REAL *before, REAL *c, REAL *h, const REAL *p_i,
                                  const REAL *p_f, const REAL *p_o)
{
    EACH(k)
    {
        const REAL b = before[k];
        const REAL in = FG_(fg_sigmoid)(peep ? i[k] + p_i[k] * b : i[k]);
        const REAL keep = FG_(fg_sigmoid)(peep ? f[k] + p_f[k] * b : f[k]);
        const REAL new = FG_(fg_tanh)(g[k]);
        const REAL cell = keep * b + in * new;
        const REAL out = FG_(fg_sigmoid)(peep ? o[k] + p_o[k] * cell : o[k]);
        i[k] = in;
        f[k] = keep;
        g[k] = new;
        o[k] = out;
        c[k] = cell;
        h[k] = out * FG_(fg_tanh)(cell);
    }
}

FG_INLINE void FG_(fg_lstm_units)(const int peep, ptrdiff_t n, ptrdiff_t stride, REAL *gates,
                                  const REAL *before, REAL *c, REAL *h, const REAL *p_i,
                                  const REAL *p_f, const REAL *p_o)
{
    ptrdiff_t j = 0;
    for (; n - j >= BLOCK; j += BLOCK) {
        REAL *const z = gates + j;
        FG_(fg_lstm_block)(peep, z, z + stride, z + 2 * stride, z + 3 * stride, before + j, c + j,
                           h + j, p_i ? p_i + j : FG_(fg_zeros), p_f ? p_f + j : FG_(fg_zeros),
                           p_o ? p_o + j : FG_(fg_zeros));
    }
    if (j < n) {
        REAL z[4][BLOCK] = {{0}}, b[BLOCK] = {0}, p[3][BLOCK] = {{0}}, to[2][BLOCK];
        for (int q = 0; q < 4; q++) FG_FILL(z[q], gates + q * stride + j, n - j);
        FG_FILL(b, before + j, n - j);
        if (p_i) FG_FILL(p[0], p_i + j, n - j);
        if (p_f) FG_FILL(p[1], p_f + j, n - j);
        if (p_o) FG_FILL(p[2], p_o + j, n - j);
        FG_(fg_lstm_block)(peep, z[0], z[1], z[2], z[3], b, to[0], to[1], p[0], p[1], p[2]);
        for (int q = 0; q < 4; q++) FG_BACK(gates + q * stride + j, z[q], n - j);
        FG_BACK(c + j, to[0], n - j);
        FG_BACK(h + j, to[1], n - j);
    }
}

static void FG_(fg_lstm_row)(ptrdiff_t n, ptrdiff_t stride, REAL *gates, const REAL *before,
                             REAL *c, REAL *h, const REAL *p_i, const REAL *p_f, const REAL *p_o)
{
    if (p_i || p_f || p_o)
        FG_(fg_lstm_units)(1, n, stride, gates, before, c, h, p_i, p_f, p_o);
    else
        FG_(fg_lstm_units)(0, n, stride, gates, before, c, h, NULL, NULL, NULL);
}

/* dc is carried in from the step after and out to the step before; dh and dc_all are what reaches
 * h and c here. Gates become the gradient of their sums. */
FG_INLINE void FG_(fg_lstm_back_block)(const int peep, REAL *i, REAL *f, REAL *g, REAL *o,
                                       const REAL *before, const REAL *c, const REAL *carried,
                                       const REAL *dy, REAL *dc, REAL *dh, REAL *dc_all,
                                       const REAL *p_i, const REAL *p_f, const REAL *p_o)
{
    EACH(k)
    {
        const REAL in = i[k], keep = f[k], new = g[k], out = o[k], t = FG_(fg_tanh)(c[k]);
        const REAL d = carried[k] + dy[k];
        const REAL z_o = d * t * out * (1 - out);
        REAL e = dc[k] + d * out * (1 - t * t);
        if (peep) e += z_o * p_o[k];
        const REAL z_i = e * new * in * (1 - in), z_f = e * before[k] * keep * (1 - keep);
        dh[k] = d;
        dc_all[k] = e;
        dc[k] = peep ? e * keep + z_i * p_i[k] + z_f * p_f[k] : e * keep;
        i[k] = z_i;
        f[k] = z_f;
        g[k] = e * in * (1 - new * new);
        o[k] = z_o;
    }
}

FG_INLINE void FG_(fg_lstm_back_units)(const int peep, ptrdiff_t n, ptrdiff_t stride, REAL *gates,
                                       const REAL *before, const REAL *c, const REAL *carried,
                                       const REAL *dy, REAL *dc, REAL *dh, REAL *dc_all,
                                       const REAL *p_i, const REAL *p_f, const REAL *p_o)
{
    ptrdiff_t j = 0;
    for (; n - j >= BLOCK; j += BLOCK) {
        REAL *const z = gates + j;
        FG_(fg_lstm_back_block)(peep, z, z + stride, z + 2 * stride, z + 3 * stride, before + j,
                                c + j, carried + j, dy ? dy + j : FG_(fg_zeros), dc + j, dh + j,
                                dc_all + j, p_i ? p_i + j : FG_(fg_zeros),
                                p_f ? p_f + j : FG_(fg_zeros), p_o ? p_o + j : FG_(fg_zeros));
    }
    if (j < n) {
        REAL z[4][BLOCK] = {{0}}, from[5][BLOCK] = {{0}}, p[3][BLOCK] = {{0}}, to[2][BLOCK];
        for (int q = 0; q < 4; q++) FG_FILL(z[q], gates + q * stride + j, n - j);
        FG_FILL(from[0], before + j, n - j);
        FG_FILL(from[1], c + j, n - j);
        FG_FILL(from[2], carried + j, n - j);
        if (dy) FG_FILL(from[3], dy + j, n - j);
        FG_FILL(from[4], dc + j, n - j);
        if (p_i) FG_FILL(p[0], p_i + j, n - j);
        if (p_f) FG_FILL(p[1], p_f + j, n - j);
        if (p_o) FG_FILL(p[2], p_o + j, n - j);
        FG_(fg_lstm_back_block)(peep, z[0], z[1], z[2], z[3], from[0], from[1], from[2], from[3],
                                from[4], to[0], to[1], p[0], p[1], p[2]);
        for (int q = 0; q < 4; q++) FG_BACK(gates + q * stride + j, z[q], n - j);
        FG_BACK(dc + j, from[4], n - j);
        FG_BACK(dh + j, to[0], n - j);
        FG_BACK(dc_all + j, to[1], n - j);
    }
}

static void FG_(fg_lstm_back_row)(ptrdiff_t n, ptrdiff_t stride, REAL *gates, const REAL *before,
                                  const REAL *c, const REAL *carried, const REAL *dy, REAL *dc,
                                  REAL *dh, REAL *dc_all, const REAL *p_i, const REAL *p_f,
                                  const REAL *p_o)
{
    if (p_i || p_f || p_o)
        FG_(fg_lstm_back_units)(1, n, stride, gates, before, c, carried, dy, dc, dh, dc_all, p_i,
                                p_f, p_o);
    else
        FG_(fg_lstm_back_units)(0, n, stride, gates, before, c, carried, dy, dc, dh, dc_all, NULL,
                                NULL, NULL);
}

/* ---- GRU: gates n, r, z, m --------------------------------------------------------------- */

FG_INLINE void FG_(fg_gru_block)(const int part, REAL *n, REAL *r, REAL *z, REAL *m,
                                 const REAL *before, REAL *h)
{
    EACH(k)
    {
        const REAL b = before[k];
        REAL reset = r[k], keep = z[k];
        if (part != FG_GRU_NEW) {
            r[k] = reset = FG_(fg_sigmoid)(reset);
            z[k] = keep = FG_(fg_sigmoid)(keep);
        }
        if (part == FG_GRU_RESET) {
            m[k] = reset * b;
        } else {
            const REAL new = FG_(fg_tanh)(part == FG_GRU_ALL ? n[k] + reset * m[k] : n[k]);
            n[k] = new;
            h[k] = new + keep * (b - new);
        }
    }
}

FG_INLINE void FG_(fg_gru_units)(const int part, ptrdiff_t units, ptrdiff_t stride, REAL *gates,
                                 const REAL *before, REAL *h)
{
    ptrdiff_t j = 0;
    for (; units - j >= BLOCK; j += BLOCK) {
        REAL *const z = gates + j;
        FG_(fg_gru_block)(part, z, z + stride, z + 2 * stride, z + 3 * stride, before + j, h + j);
    }
    if (j < units) {
        REAL z[4][BLOCK] = {{0}}, b[BLOCK] = {0}, to[BLOCK] = {0};
        for (int q = 0; q < 4; q++) FG_FILL(z[q], gates + q * stride + j, units - j);
        FG_FILL(b, before + j, units - j);
        FG_(fg_gru_block)(part, z[0], z[1], z[2], z[3], b, to);
        for (int q = 0; q < 4; q++) FG_BACK(gates + q * stride + j, z[q], units - j);
        if (part != FG_GRU_RESET) FG_BACK(h + j, to, units - j);
    }
}

static void FG_(fg_gru_row)(int part, ptrdiff_t n, ptrdiff_t stride, REAL *gates,
                            const REAL *before, REAL *h)
{
    if (part == FG_GRU_ALL)
        FG_(fg_gru_units)(FG_GRU_ALL, n, stride, gates, before, h);
    else if (part == FG_GRU_RESET)
        FG_(fg_gru_units)(FG_GRU_RESET, n, stride, gates, before, h);
    else
        FG_(fg_gru_units)(FG_GRU_NEW, n, stride, gates, before, h);
}

/* `carried` is what the step after hands on, and becomes the part of what is handed on that passes
 * by the products. With FG_GRU_NEW that and the gradients of n and z; then FG_GRU_RESET, for which
 * dy is the gradient of m. */
FG_INLINE void FG_(fg_gru_back_block)(const int part, REAL *n, REAL *r, REAL *z, REAL *m,
                                      const REAL *before, REAL *carried, const REAL *dy, REAL *dh)
{
    EACH(k)
    {
        const REAL reset = r[k];
        if (part == FG_GRU_RESET) {
            const REAL d = dy[k];
            r[k] = d * before[k] * reset * (1 - reset);
            carried[k] += d * reset;
        } else {
            const REAL keep = z[k], new = n[k], d = carried[k] + dy[k];
            const REAL z_n = d * (1 - keep) * (1 - new * new);
            dh[k] = d;
            carried[k] = d * keep;
            n[k] = z_n;
            z[k] = d * (before[k] - new) * keep * (1 - keep);
            if (part == FG_GRU_ALL) {
                r[k] = z_n * m[k] * reset * (1 - reset);
                m[k] = z_n * reset;
            }
        }
    }
}

FG_INLINE void FG_(fg_gru_back_units)(const int part, ptrdiff_t units, ptrdiff_t stride,
                                      REAL *gates, const REAL *before, REAL *carried,
                                      const REAL *dy, REAL *dh)
{
    ptrdiff_t j = 0;
    for (; units - j >= BLOCK; j += BLOCK) {
        REAL *const z = gates + j;
        FG_(fg_gru_back_block)(part, z, z + stride, z + 2 * stride, z + 3 * stride, before + j,
                               carried + j, dy ? dy + j : FG_(fg_zeros), dh + j);
    }
    if (j < units) {
        REAL z[4][BLOCK] = {{0}}, from[3][BLOCK] = {{0}}, to[BLOCK];
        for (int q = 0; q < 4; q++) FG_FILL(z[q], gates + q * stride + j, units - j);
        FG_FILL(from[0], before + j, units - j);
        FG_FILL(from[1], carried + j, units - j);
        if (dy) FG_FILL(from[2], dy + j, units - j);
        FG_(fg_gru_back_block)(part, z[0], z[1], z[2], z[3], from[0], from[1], from[2], to);
        for (int q = 0; q < 4; q++) FG_BACK(gates + q * stride + j, z[q], units - j);
        FG_BACK(carried + j, from[1], units - j);
        if (part != FG_GRU_RESET) FG_BACK(dh + j, to, units - j);
    }
}

static void FG_(fg_gru_back_row)(int part, ptrdiff_t n, ptrdiff_t stride, REAL *gates,
                                 const REAL *before, REAL *carried, const REAL *dy, REAL *dh)
{
    if (part == FG_GRU_ALL)
        FG_(fg_gru_back_units)(FG_GRU_ALL, n, stride, gates, before, carried, dy, dh);
    else if (part == FG_GRU_RESET)
        FG_(fg_gru_back_units)(FG_GRU_RESET, n, stride, gates, before, carried, dy, dh);
    else
        FG_(fg_gru_back_units)(FG_GRU_NEW, n, stride, gates, before, carried, dy, dh);
}

/* ---- norms ------------------------------------------------------------------------------- */

/* The sum of squares in float64, in one order whatever the level. */
static double FG_(fg_squares)(const REAL *x, ptrdiff_t n)
{
    fg_eight acc[2] = {{0}}, v;
    double rest = 0;
    ptrdiff_t j = 0;
    for (; n - j >= 16; j += 16)
        for (int q = 0; q < 2; q++) {
            FG_(fg_load_eight)(x + j + 8 * q, &v);
            acc[q] += v * v;
        }
    for (; j < n; j++) rest += (double)x[j] * x[j];
    acc[0] += acc[1];
    const double *const a = (const double *)acc;
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7])) + rest;
}

#undef REAL
#undef BLOCK
#undef EACH
