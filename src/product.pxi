# Matrix products as kernels of their own.
from _core cimport Team, ptrdiff_t, real, team_share
from _product cimport multiply
from calls.product cimport Product


cdef void run_product(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Product *p = <const Product *>args
    cdef ptrdiff_t low, high
    team_share(team, p.M, 12, &low, &high)
    if low < high:
        multiply(high - low, p.N, p.K, <const real *>p.a + low * p.a_row, p.a_row, p.a_col,
                 <const real *>p.b, p.b_row, p.b_col, <real *>p.c + low * p.N, p.N,
                 <const real *>p.bias, p.accumulate, p.M, NULL, scratch)
