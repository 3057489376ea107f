/* Small matrix products at register speed: C[M,N] = bias + A B, or C += A B.
 *
 * design:
 *  a) One register tile of 8 rows x 3 vectors of columns (24 accumulators, 11 loads for 24
 *     multiply-adds; half the rows with 16 registers). A is read in place (broadcast), B from a
 *     packed panel of depth FG_KC that stays in cache while all rows pass over it.
 *  b) A and B may each be stored either way round, so the three products of a dense layer
 *     (x w', dz w, dz' x) are one routine; a panel is packed right before its use, so packing
 *     needs no memory that grows with the weights.
 *  c) Every element of C is the sum of chains of multiply-adds over k in rising order, one chain
 *     for each FG_KC, whatever the tile, so any split of C over threads gives the same bits.
 */
#ifndef FG_GEMM_H
#define FG_GEMM_H
#include "fg_simd.h"

#define FG_NV 3 /* vectors of columns of a full tile */
/* rows of a full tile of nv vectors */
#if FG_WIDE_REGS
#define FG_MR(nv) ((nv) == FG_NV ? 8 : 12)
enum { FG_MOST_ROWS = 12 };
#else
#define FG_MR(nv) ((nv) == FG_NV ? 4 : 6)
enum { FG_MOST_ROWS = 6 };
#endif
enum {
    FG_KC = 512,   /* depth of a panel: 512 x 3 vectors of 64 bytes are 96 KiB, at home in L2 */
    FG_MC = 288,   /* most rows between two packings of a panel: A[MC,KC] stays in L2; half as many
                    * for A by columns, whose C is large and leaves the cache at once */
    /* for long sums over columns: depth, most columns of A, bytes of C at home in L2 */
    FG_KC_LONG = 64,
    FG_MC_LONG = 1024,
    FG_C_BYTES = 3 << 17,
    FG_NEAR = 1 << 16, /* bytes of B up to which it is as good as its panels */
    FG_PAD = 32,   /* most elements by which rows of the copy of A are longer than those of A */
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
