/* Small matrix products at register speed: C[M,N] = bias + A B, or C += A B.
 *
 * design:
 *  a) One register tile of FG_MR rows x 2 vectors of columns. A is read in place (broadcast), B
 *     from a packed panel of depth FG_KC that stays in the L1 cache while all rows pass over it.
 *  b) A and B may each be stored either way round, so the three products of a dense layer
 *     (x w', dz w, dz' x) are one routine; a panel is packed right before its use, so packing
 *     needs no memory that grows with the weights.
 *  c) Every element of C is the sum of chains of multiply-adds over k in rising order, one chain
 *     for each FG_KC, whatever the tile, so any split of C over threads gives the same bits.
 */
#ifndef FG_GEMM_H
#define FG_GEMM_H
#include "fg_simd.h"

#if FG_WIDE_REGS
#define FG_MR 12
#else
#define FG_MR 6
#endif
enum {
    FG_KC = 1024,  /* depth of a panel: 1024 x 2 vectors of 64 bytes are 128 KiB, at home in L2 */
    FG_MC = 324,   /* most rows between two packings of a panel; A[MC,KC] stays in L2 */
    FG_FAR = 1 << 22, /* bytes of B from which on it is expected to be in no cache */
    FG_PAD = 16,   /* keeps rows of the copy of A out of step with the cache's sets */
    /* up to so many rows, dot products beat transposing B into panels: if B is short, or long */
    FG_DOT_ROWS = 2,
    FG_DOT_ROWS_LONG = 5,
    FG_DOT_LONG = 512,
};

#define FG_REAL float
#define FG_SUFFIX _f32
#include "fg_gemm_impl.h"
#undef FG_REAL
#undef FG_SUFFIX
#define FG_REAL double
#define FG_SUFFIX _f64
#include "fg_gemm_impl.h"
#undef FG_REAL
#undef FG_SUFFIX
#endif
