/* The functions of fg_math.h for one type; included once for each of them. */

#define MANTISSA (DIGITS - 1)
#define BIAS (MAX_EXPONENT - 1)
#define SIGN ((BITS)1 << (8 * sizeof(REAL) - 1))

/* Adding ROUND to a small number rounds it to an integer, which the low bits of the sum hold. */
#define ROUND ((REAL)((BITS)3 << (MANTISSA - 1)))

FG_INLINE BITS FN(bits)(REAL x)
{
    BITS bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

FG_INLINE REAL FN(real)(BITS bits)
{
    REAL x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

FG_INLINE REAL FN(abs)(REAL x)
{
    return FN(real)(FN(bits)(x) & ~SIGN);
}

FG_INLINE REAL FN(copysign)(REAL magnitude, REAL sign)
{
    return FN(real)((FN(bits)(magnitude) & ~SIGN) | (FN(bits)(sign) & SIGN));
}

/* These two return x if it is NaN. */
FG_INLINE REAL FN(at_least)(REAL low, REAL x)
{
    return x < low ? low : x;
}

FG_INLINE REAL FN(at_most)(REAL high, REAL x)
{
    return x > high ? high : x;
}

/* 2^(exponent - BIAS) for an exponent in 1 .. 2 BIAS. Bits above the exponent's are shifted out,
   so that a sum with ROUND needs no masking. */
FG_INLINE REAL FN(pow2)(BITS exponent)
{
    return FN(real)(exponent << MANTISSA);
}

/* Splits x = n ln(2) + r with |r| <= ln(2)/2; the low bits of *exponent are n + bias. */
FG_INLINE REAL FN(reduce)(REAL x, int bias, BITS *exponent)
{
    REAL shift = ROUND + bias;
    REAL shifted = x * FN(log2e) + shift;
    REAL n = shifted - shift;
    *exponent = FN(bits)(shifted);
    return x - n * FN(ln2_hi) - n * FN(ln2_lo);
}

/* exp(x) for exp_min <= x <= exp_max. Denormal and overflowing results need a 2^n which is no
   normal number, but its halves 2^(n/2) are, and only the second product rounds. */
FG_INLINE REAL FN(bounded_exp)(REAL x)
{
    BITS exponent;
    REAL r = FN(reduce)(x, 2 * BIAS, &exponent);
    REAL p = 1 + r * (1 + r * FN(poly_expm1)(r));
    BITS half = exponent >> 1;
    return p * FN(pow2)(half) * FN(pow2)(exponent - half);
}

/* (exp(x) - 1) / 2^downscale for expm1_min <= x, as long as exp(x) / 2^downscale is finite. */
FG_INLINE REAL FN(bounded_expm1)(REAL x, int downscale)
{
    BITS exponent;
    REAL r = FN(reduce)(x, BIAS - downscale, &exponent);
    REAL p = r + r * r * FN(poly_expm1)(r);
    REAL scale = FN(pow2)(exponent);
    return p * scale + (scale - FN(pow2)(BIAS - downscale));
}

FG_INLINE REAL FN(exp)(REAL x)
{
    return FN(bounded_exp)(FN(at_least)(FN(exp_min), FN(at_most)(FN(exp_max), x)));
}

/* Halving keeps exp(x) finite up to where expm1 overflows, but loses the last bit of denormals and
   the sign of zero; there expm1(x) = x to the last bit. */
FG_INLINE REAL FN(expm1)(REAL x)
{
    REAL bounded = FN(at_least)(FN(expm1_min), FN(at_most)(FN(exp_max), x));
    REAL y = 2 * FN(bounded_expm1)(bounded, 1);
    return FN(abs)(x) < EPSILON / 4 ? x : y;
}

/* tanh(x) = -u / (u + 2) with u = expm1(-2x): for x >= 0 the divisor, in [1, 2], magnifies no
   error of u. */
FG_INLINE REAL FN(tanh)(REAL x)
{
    REAL u = FN(bounded_expm1)(FN(at_least)(FN(expm1_min), -2 * FN(abs)(x)), 0);
    return FN(copysign)(u / (u + 2), x);
}

/* exp(-|x|) does not overflow, and its denormals are the results at the negative end. */
FG_INLINE REAL FN(sigmoid)(REAL x)
{
    REAL t = FN(bounded_exp)(FN(at_least)(FN(exp_min), -FN(abs)(x)));
    return (x < 0 ? t : 1) / (1 + t);
}

/* erf(x) = -expm1(log(erfc(x))) for x >= 0: log(erfc(x)) / x is smooth enough for one polynomial,
   and its error matters less and less as erfc(x) vanishes. */
FG_INLINE REAL FN(erf)(REAL x)
{
    REAL a = FN(at_most)(FN(erf_max), FN(abs)(x));
    return FN(copysign)(FN(bounded_expm1)(a * FN(poly_erfc)(a) - a, 0), x);
}

/* sin(pi x) for |x| <= 1/2, the only arguments that it has to be good for. */
FG_INLINE REAL FN(sinpi)(REAL x)
{
    return x * FN(poly_sinpi)(x * x);
}

/* Bits of x = 2^e m with sqrt(1/2) <= m < sqrt(2) from which e + BIAS and m can be cut out: the
   exponent carries where the mantissa passes that of sqrt(1/2). */
FG_INLINE BITS FN(log_bits)(REAL x)
{
    return FN(bits)(x) + (FN(bits)(1) - FN(bits)(FN(sqrt_half)));
}

/* e ln(2) + log(1 + f), where biased = e + bias and sqrt(1/2) - 1 <= f <= sqrt(2) - 1. With
   s = f / (2 + f), log(1 + f) = 2s + s z poly(z) = f - s (f - z poly(z)), exact in its first term.
   e ln(2) is zero or at least twice the rest, so that ln(2) needs no second word. */
FG_INLINE REAL FN(log_sum)(BITS biased, REAL bias, REAL f)
{
    REAL e = FN(real)(biased | FN(bits)(ROUND)) - (ROUND + bias);
    REAL s = f / (2 + f);
    REAL z = s * s;
    return e * FN(ln2) + (f - s * (f - z * FN(poly_log)(z)));
}

/* y = log(x) where x is positive and finite, else what log(x) is there. */
FG_INLINE REAL FN(log_ends)(REAL x, REAL y)
{
    return x > 0 ? (x < INFINITY ? y : INFINITY) : (x == 0 ? -INFINITY : NAN);
}

FG_INLINE REAL FN(log)(REAL x)
{
    REAL normal = x < MIN_NORMAL ? x * (1 / EPSILON) : x;
    REAL bias = x < MIN_NORMAL ? BIAS + MANTISSA : BIAS;
    BITS b = FN(log_bits)(normal);
    BITS m = (b & (((BITS)1 << MANTISSA) - 1)) + FN(bits)(FN(sqrt_half));
    return FN(log_ends)(x, FN(log_sum)(b >> MANTISSA, bias, FN(real)(m) - 1));
}

/* Only e of 1 + x = 2^e m comes from the rounded sum; f = m - 1 is computed from x, and rounds
   once, since scaling by 2^-e is exact. 2^-e is denormal for the largest x, hence the 4. x / 4 in
   turn loses bits of denormals, and the sum the sign of zero; there log1p(x) = x to the last
   bit. */
FG_INLINE REAL FN(log1p)(REAL x)
{
    REAL u = 1 + x;
    BITS biased = FN(log_bits)(u) >> MANTISSA;
    REAL scale = FN(pow2)(2 * BIAS + 2 - biased);
    REAL f = x / 4 * scale + (scale / 4 - 1);
    REAL y = FN(log_ends)(u, FN(log_sum)(biased, BIAS, f));
    return FN(abs)(x) < EPSILON / 4 ? x : y;
}

#undef MANTISSA
#undef BIAS
#undef SIGN
#undef ROUND
#undef REAL
#undef BITS
#undef FN
#undef DIGITS
#undef MAX_EXPONENT
#undef EPSILON
#undef MIN_NORMAL
