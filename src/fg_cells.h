/* The gates of recurrent cells, elementwise, for one sequence at one step.
 *
 * design:
 *  a) Units go in blocks of a fixed length, so that the compiler makes straight vector code of each;
 *     the last, shorter one is done on copies, at the same cost.
 *  b) Backward rows leave what the norms of the gradient are made of; fg_squares adds it up while
 *     it is in L1.
 */
#ifndef FG_CELLS_H
#define FG_CELLS_H
#include "fg_math.h"
#include "fg_simd.h"

/* Up to 10 columns of a block: n values at p, from and to a copy that is filled up with zeros. */
#define FG_FILL(copy, p, n) memcpy(copy, p, (size_t)(n) * sizeof *(copy))
#define FG_BACK(p, copy, n) memcpy(p, copy, (size_t)(n) * sizeof *(copy))

/* Parts of a step of a GRU: all of it where r acts after the product; else r and z first, then n. */
enum { FG_GRU_ALL, FG_GRU_RESET, FG_GRU_NEW };

#define FG_REAL float
#define FG_SUFFIX _f32
#include "fg_cells_impl.h"
#undef FG_REAL
#undef FG_SUFFIX
#define FG_REAL double
#define FG_SUFFIX _f64
#include "fg_cells_impl.h"
#undef FG_REAL
#undef FG_SUFFIX
#endif
