/* Elementary functions which compilers vectorize.

   Each function is straight-line code: no branch, table, library call or conversion between
   integers and floats, for any of these keeps some x86-64 level from vectorizing a loop over it.
   Special cases are selected at the end, so that every element costs the same.

   Results are within 4 ulp of the exact ones (2.6 is the worst known) for every argument, denormal
   results included, whether or not the compiler contracts a * b + c. NaNs propagate, and where
   f(0) = 0 the sign of zero is kept.

   GCC turns the selects into blends only with -fno-trapping-math. -ffast-math must be off: it
   would cancel the rounding by ROUND and drop NaNs. */

#ifndef FG_MATH_H
#define FG_MATH_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* One call left in a loop costs its vectorization, so the compiler's size limits must not apply. */
#define FG_INLINE static inline __attribute__((always_inline))

#include "fg_math_coeffs.h"

#define REAL float
#define BITS uint32_t
#define FN(name) fg_##name##_f32
#define DIGITS FLT_MANT_DIG
#define MAX_EXPONENT FLT_MAX_EXP
#define EPSILON FLT_EPSILON
#define MIN_NORMAL FLT_MIN
#include "fg_math_impl.h"

#define REAL double
#define BITS uint64_t
#define FN(name) fg_##name##_f64
#define DIGITS DBL_MANT_DIG
#define MAX_EXPONENT DBL_MAX_EXP
#define EPSILON DBL_EPSILON
#define MIN_NORMAL DBL_MIN
#include "fg_math_impl.h"

#endif
