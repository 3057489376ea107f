/* One vector type per level and dtype, and the five operations on it that GCC's vector
 * extensions lack. This is the only file that knows an instruction set by name.
 *
 * FG_WIDE_REGS: 32 vector registers (AVX-512, NEON) instead of 16; it decides the register tile.
 */
#ifndef FG_SIMD_H
#define FG_SIMD_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define FG_VECTOR_BYTES 64
#define FG_WIDE_REGS 1
#elif defined(__AVX2__)
#define FG_VECTOR_BYTES 32
#define FG_WIDE_REGS 0
#else
#define FG_VECTOR_BYTES 16
#if defined(__aarch64__)
#define FG_WIDE_REGS 1
#else
#define FG_WIDE_REGS 0
#endif
#endif
#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

#define FG_INLINE static inline __attribute__((always_inline))

#define FG_CAT_(a, b) a##b
#define FG_CAT(a, b) FG_CAT_(a, b)
#define FG_(name) FG_CAT(name, FG_SUFFIX) /* fg_name_f32 or fg_name_f64 */

typedef float fg_vec_f32 __attribute__((vector_size(FG_VECTOR_BYTES), aligned(4), may_alias));
typedef double fg_vec_f64 __attribute__((vector_size(FG_VECTOR_BYTES), aligned(8), may_alias));
enum { FG_LANES_f32 = FG_VECTOR_BYTES / 4, FG_LANES_f64 = FG_VECTOR_BYTES / 8 };

/* Eight numbers of either dtype in float64, at every level. Of a conversion of vectors GCC makes
 * two halves, with twice the instructions. */
typedef double fg_eight __attribute__((vector_size(64), aligned(8), may_alias));
FG_INLINE void fg_load_eight_f32(const float *p, fg_eight *v)
{
#if FG_VECTOR_BYTES == 64
    *v = (fg_eight)_mm512_cvtps_pd(_mm256_loadu_ps(p));
#else
    typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));
    *v = __builtin_convertvector(*(const eight *)p, fg_eight);
#endif
}
FG_INLINE void fg_load_eight_f64(const double *p, fg_eight *v) { *v = *(const fg_eight *)p; }

/* The first n lanes of p (0 < n < lanes), the others 0; nothing past p[n-1] is touched. */
#if FG_VECTOR_BYTES == 64
FG_INLINE fg_vec_f32 fg_load_part_f32(const float *p, ptrdiff_t n)
{
    return (fg_vec_f32)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
FG_INLINE fg_vec_f64 fg_load_part_f64(const double *p, ptrdiff_t n)
{
    return (fg_vec_f64)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
}
FG_INLINE void fg_store_part_f32(float *p, fg_vec_f32 v, ptrdiff_t n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
FG_INLINE void fg_store_part_f64(double *p, fg_vec_f64 v, ptrdiff_t n)
{
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
}
#elif FG_VECTOR_BYTES == 32
FG_INLINE __m256i fg_mask_f32(ptrdiff_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
FG_INLINE __m256i fg_mask_f64(ptrdiff_t n)
{
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
FG_INLINE fg_vec_f32 fg_load_part_f32(const float *p, ptrdiff_t n)
{
    return (fg_vec_f32)_mm256_maskload_ps(p, fg_mask_f32(n));
}
FG_INLINE fg_vec_f64 fg_load_part_f64(const double *p, ptrdiff_t n)
{
    return (fg_vec_f64)_mm256_maskload_pd(p, fg_mask_f64(n));
}
FG_INLINE void fg_store_part_f32(float *p, fg_vec_f32 v, ptrdiff_t n)
{
    _mm256_maskstore_ps(p, fg_mask_f32(n), (__m256)v);
}
FG_INLINE void fg_store_part_f64(double *p, fg_vec_f64 v, ptrdiff_t n)
{
    _mm256_maskstore_pd(p, fg_mask_f64(n), (__m256d)v);
}
#else
FG_INLINE fg_vec_f32 fg_load_part_f32(const float *p, ptrdiff_t n)
{
    float lane[4] = {0};
    for (ptrdiff_t i = 0; i < n; i++) lane[i] = p[i];
    return *(const fg_vec_f32 *)lane;
}
FG_INLINE fg_vec_f64 fg_load_part_f64(const double *p, ptrdiff_t n)
{
    double lane[2] = {n > 0 ? p[0] : 0, n > 1 ? p[1] : 0};
    return *(const fg_vec_f64 *)lane;
}
FG_INLINE void fg_store_part_f32(float *p, fg_vec_f32 v, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) p[i] = v[i];
}
FG_INLINE void fg_store_part_f64(double *p, fg_vec_f64 v, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) p[i] = v[i];
}
#endif

/* Vectors of integers as large as the numbers; lane by lane the larger of two, and that of
 * two of which the highest bit is no sign. */
typedef int32_t fg_ints_f32 __attribute__((vector_size(FG_VECTOR_BYTES), aligned(4), may_alias));
typedef int64_t fg_ints_f64 __attribute__((vector_size(FG_VECTOR_BYTES), aligned(8), may_alias));
#if FG_VECTOR_BYTES == 64
FG_INLINE fg_ints_f32 fg_larger_f32(fg_ints_f32 a, fg_ints_f32 b)
{
    return (fg_ints_f32)_mm512_max_epi32((__m512i)a, (__m512i)b);
}
FG_INLINE fg_ints_f64 fg_larger_f64(fg_ints_f64 a, fg_ints_f64 b)
{
    return (fg_ints_f64)_mm512_max_epi64((__m512i)a, (__m512i)b);
}
FG_INLINE fg_ints_f32 fg_larger_unsigned_f32(fg_ints_f32 a, fg_ints_f32 b)
{
    return (fg_ints_f32)_mm512_max_epu32((__m512i)a, (__m512i)b);
}
FG_INLINE fg_ints_f64 fg_larger_unsigned_f64(fg_ints_f64 a, fg_ints_f64 b)
{
    return (fg_ints_f64)_mm512_max_epu64((__m512i)a, (__m512i)b);
}
#else
FG_INLINE fg_ints_f32 fg_larger_f32(fg_ints_f32 a, fg_ints_f32 b)
{
#if defined(__AVX2__)
    return (fg_ints_f32)_mm256_max_epi32((__m256i)a, (__m256i)b);
#elif defined(__SSE4_1__)
    return (fg_ints_f32)_mm_max_epi32((__m128i)a, (__m128i)b);
#else
    const fg_ints_f32 more = b > a;
    return (a & ~more) | (b & more);
#endif
}
FG_INLINE fg_ints_f64 fg_larger_f64(fg_ints_f64 a, fg_ints_f64 b)
{
    const fg_ints_f64 more = b > a;
    return (a & ~more) | (b & more);
}
FG_INLINE fg_ints_f32 fg_larger_unsigned_f32(fg_ints_f32 a, fg_ints_f32 b)
{
#if defined(__AVX2__)
    return (fg_ints_f32)_mm256_max_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE4_1__)
    return (fg_ints_f32)_mm_max_epu32((__m128i)a, (__m128i)b);
#else
    typedef uint32_t unsigned_ints __attribute__((vector_size(FG_VECTOR_BYTES)));
    const fg_ints_f32 more = (fg_ints_f32)((unsigned_ints)b > (unsigned_ints)a);
    return (a & ~more) | (b & more);
#endif
}
FG_INLINE fg_ints_f64 fg_larger_unsigned_f64(fg_ints_f64 a, fg_ints_f64 b)
{
    typedef uint64_t unsigned_ints __attribute__((vector_size(FG_VECTOR_BYTES)));
    const fg_ints_f64 more = (fg_ints_f64)((unsigned_ints)b > (unsigned_ints)a);
    return (a & ~more) | (b & more);
}
#endif

/* Where one number is above another, as bits, lane 0 the lowest. And 1 in p where a bit is set;
 * other lanes of p are neither read nor written. */
#if FG_VECTOR_BYTES == 64
FG_INLINE unsigned fg_above_f32(fg_vec_f32 a, fg_vec_f32 b)
{
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ);
}
FG_INLINE unsigned fg_above_f64(fg_vec_f64 a, fg_vec_f64 b)
{
    return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_GT_OQ);
}
FG_INLINE void fg_raise_f32(float *p, unsigned bits)
{
    _mm512_mask_storeu_ps(p, (__mmask16)bits, _mm512_set1_ps(1));
}
FG_INLINE void fg_raise_f64(double *p, unsigned bits)
{
    _mm512_mask_storeu_pd(p, (__mmask8)bits, _mm512_set1_pd(1));
}
#else
#if FG_VECTOR_BYTES == 32
FG_INLINE unsigned fg_signs_f32(fg_ints_f32 m) { return (unsigned)_mm256_movemask_ps((__m256)m); }
FG_INLINE unsigned fg_signs_f64(fg_ints_f64 m) { return (unsigned)_mm256_movemask_pd((__m256d)m); }
#elif defined(__SSE4_1__)
FG_INLINE unsigned fg_signs_f32(fg_ints_f32 m) { return (unsigned)_mm_movemask_ps((__m128)m); }
FG_INLINE unsigned fg_signs_f64(fg_ints_f64 m) { return (unsigned)_mm_movemask_pd((__m128d)m); }
#else
FG_INLINE unsigned fg_signs_f32(fg_ints_f32 m)
{
    return (unsigned)-(m[0] + 2 * m[1] + 4 * m[2] + 8 * m[3]);
}
FG_INLINE unsigned fg_signs_f64(fg_ints_f64 m) { return (unsigned)-(m[0] + 2 * m[1]); }
#endif
FG_INLINE unsigned fg_above_f32(fg_vec_f32 a, fg_vec_f32 b) { return fg_signs_f32(a > b); }
FG_INLINE unsigned fg_above_f64(fg_vec_f64 a, fg_vec_f64 b) { return fg_signs_f64(a > b); }
FG_INLINE void fg_raise_f32(float *p, unsigned bits)
{
    for (; bits; bits &= bits - 1) p[__builtin_ctz(bits)] = 1;
}
FG_INLINE void fg_raise_f64(double *p, unsigned bits)
{
    for (; bits; bits &= bits - 1) p[__builtin_ctz(bits)] = 1;
}
#endif

/* The sum of all lanes, pairwise in halves; of integers, too, and the largest of those. */
#if FG_VECTOR_BYTES == 64
FG_INLINE int32_t fg_largest_f32(fg_ints_f32 v) { return _mm512_reduce_max_epi32((__m512i)v); }
FG_INLINE int64_t fg_largest_f64(fg_ints_f64 v) { return _mm512_reduce_max_epi64((__m512i)v); }
FG_INLINE float fg_add_all_f32(fg_vec_f32 v) { return _mm512_reduce_add_ps((__m512)v); }
FG_INLINE double fg_add_all_f64(fg_vec_f64 v) { return _mm512_reduce_add_pd((__m512d)v); }
FG_INLINE int32_t fg_add_ints_f32(fg_ints_f32 v) { return _mm512_reduce_add_epi32((__m512i)v); }
FG_INLINE int64_t fg_add_ints_f64(fg_ints_f64 v) { return _mm512_reduce_add_epi64((__m512i)v); }
#else
#define FG_SUM(a, b) ((a) + (b))
#define FG_MORE(a, b) ((a) > (b) ? (a) : (b))
#define FG_FOLD(name, REAL, VEC, OF)                                                  \
    FG_INLINE REAL name(VEC v)                                                        \
    {                                                                                 \
        REAL lane[sizeof(VEC) / sizeof(REAL)];                                        \
        memcpy(lane, &v, sizeof lane);                                                \
        for (int half = sizeof(VEC) / sizeof(REAL) / 2; half; half /= 2)              \
            for (int k = 0; k < half; k++) lane[k] = OF(lane[k], lane[k + half]);     \
        return lane[0];                                                               \
    }
FG_FOLD(fg_add_all_f32, float, fg_vec_f32, FG_SUM)
FG_FOLD(fg_add_all_f64, double, fg_vec_f64, FG_SUM)
FG_FOLD(fg_add_ints_f32, int32_t, fg_ints_f32, FG_SUM)
FG_FOLD(fg_add_ints_f64, int64_t, fg_ints_f64, FG_SUM)
FG_FOLD(fg_largest_f32, int32_t, fg_ints_f32, FG_MORE)
FG_FOLD(fg_largest_f64, int64_t, fg_ints_f64, FG_MORE)
#endif

/* Square roots, lane by lane. */
#if FG_VECTOR_BYTES == 64
FG_INLINE fg_vec_f32 fg_root_f32(fg_vec_f32 v) { return (fg_vec_f32)_mm512_sqrt_ps((__m512)v); }
FG_INLINE fg_vec_f64 fg_root_f64(fg_vec_f64 v) { return (fg_vec_f64)_mm512_sqrt_pd((__m512d)v); }
#elif FG_VECTOR_BYTES == 32
FG_INLINE fg_vec_f32 fg_root_f32(fg_vec_f32 v) { return (fg_vec_f32)_mm256_sqrt_ps((__m256)v); }
FG_INLINE fg_vec_f64 fg_root_f64(fg_vec_f64 v) { return (fg_vec_f64)_mm256_sqrt_pd((__m256d)v); }
#else
FG_INLINE fg_vec_f32 fg_root_f32(fg_vec_f32 v)
{
    for (int k = 0; k < FG_LANES_f32; k++) v[k] = __builtin_sqrtf(v[k]);
    return v;
}
FG_INLINE fg_vec_f64 fg_root_f64(fg_vec_f64 v)
{
    for (int k = 0; k < FG_LANES_f64; k++) v[k] = __builtin_sqrt(v[k]);
    return v;
}
#endif

/* Index lists for shuffles of two vectors a, b of n lanes: element e of the result is element
 * F(e, n, q) of (a, b); q is the number of elements in 16 bytes. Within every 16 bytes, LOW and
 * HIGH interleave the halves of a and b; EVEN and ODD take whole 16-byte pieces of a, then of b.
 * Each compiles to one instruction that needs no index register. */
#define FG_LOW1(e, n, q) (((e) / (q)) * (q) + ((e) % (q)) / 2 + ((e) & 1 ? (n) : 0))
#define FG_HIGH1(e, n, q) (FG_LOW1(e, n, q) + (q) / 2)
#define FG_LOW2(e, n, q) (((e) / 4) * 4 + ((e) & 1) + ((e) & 2 ? (n) : 0))
#define FG_HIGH2(e, n, q) (FG_LOW2(e, n, q) + 2)
#define FG_PIECE(e, n, q) \
    (2 * (((e) / (q)) % ((n) / (q) / 2)) * (q) + (e) % (q) + ((e) < (n) / 2 ? 0 : (n)))
#define FG_EVEN(e, n, q) FG_PIECE(e, n, q)
#define FG_ODD(e, n, q) (FG_PIECE(e, n, q) + (q))
#define FG_LIST2(F, n, q, o) F(o, n, q), F(o + 1, n, q)
#define FG_LIST4(F, n, q, o) FG_LIST2(F, n, q, o), FG_LIST2(F, n, q, o + 2)
#define FG_LIST8(F, n, q, o) FG_LIST4(F, n, q, o), FG_LIST4(F, n, q, o + 4)
#define FG_LIST16(F, n, q, o) FG_LIST8(F, n, q, o), FG_LIST8(F, n, q, o + 8)

/* Replaces rows i and i+d by the two shuffles of them, for all i with i & d == 0. */
#define FG_STAGE(row, d, n, q, F, G)                                                    \
    for (int i = 0; i < n; i++)                                                         \
        if (!(i & (d))) {                                                               \
            __typeof__(row[0]) a = row[i], b = row[i + (d)];                            \
            row[i] = __builtin_shufflevector(a, b, FG_CAT(FG_LIST, n)(F, n, q, 0));     \
            row[i + (d)] = __builtin_shufflevector(a, b, FG_CAT(FG_LIST, n)(G, n, q, 0)); \
        }

/* row[0..n) becomes its transpose, except that rows come out in the order FG_ROW: first 4x4
 * (float) or 2x2 (double) blocks inside 16 bytes, then the 16-byte pieces. */
#define FG_BLOCKS_f32(row, n) \
    FG_STAGE(row, 1, n, 4, FG_LOW1, FG_HIGH1) FG_STAGE(row, 2, n, 4, FG_LOW2, FG_HIGH2)
#define FG_BLOCKS_f64(row, n) FG_STAGE(row, 1, n, 2, FG_LOW1, FG_HIGH1)
#if FG_VECTOR_BYTES == 64
#define FG_TRANSPOSE_f32(row) \
    FG_BLOCKS_f32(row, 16) FG_STAGE(row, 4, 16, 4, FG_EVEN, FG_ODD) \
    FG_STAGE(row, 8, 16, 4, FG_EVEN, FG_ODD)
#define FG_TRANSPOSE_f64(row) \
    FG_BLOCKS_f64(row, 8) FG_STAGE(row, 2, 8, 2, FG_EVEN, FG_ODD) \
    FG_STAGE(row, 4, 8, 2, FG_EVEN, FG_ODD)
#elif FG_VECTOR_BYTES == 32
#define FG_TRANSPOSE_f32(row) FG_BLOCKS_f32(row, 8) FG_STAGE(row, 4, 8, 4, FG_EVEN, FG_ODD)
#define FG_TRANSPOSE_f64(row) FG_BLOCKS_f64(row, 4) FG_STAGE(row, 2, 4, 2, FG_EVEN, FG_ODD)
#else
#define FG_TRANSPOSE_f32(row) FG_BLOCKS_f32(row, 4)
#define FG_TRANSPOSE_f64(row) FG_BLOCKS_f64(row, 2)
#endif
/* Where row j of the transpose lies: the 4x4 stages leave columns 1 and 2 exchanged. */
#define FG_ROW_f32(j) (((j) & ~3) | (((j) & 1) << 1) | (((j) & 2) >> 1))
#define FG_ROW_f64(j) (j)

#endif
