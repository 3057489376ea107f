/* Printed by tools/fit_math.py; do not edit. */

static const float fg_log2e_f32 = 0x1.715476p+0f;
static const float fg_ln2_f32 = 0x1.62e43p-1f;
static const float fg_ln2_hi_f32 = 0x1.62e4p-1f;
static const float fg_ln2_lo_f32 = 0x1.7f7d1cp-20f;
static const float fg_sqrt_half_f32 = 0x1.6a09e6p-1f;
static const float fg_exp_min_f32 = -104;
static const float fg_exp_max_f32 = 89;
static const float fg_expm1_min_f32 = -19;
static const float fg_erf_max_f32 = 0x1.f5a88ap+1f;

/* expm1(x) = x + x^2 poly(x), |x| <= ln(2)/2.
   Relative error: 0.24 * 2^-24. */
FG_INLINE float fg_poly_expm1_f32(float x)
{
    float z = x * x;
    float even = 0x1.6b635cp-10f;
    float odd = 0x1.1228e8p-7f;
    even = even * z + 0x1.555724p-5f;
    odd = odd * z + 0x1.5554aep-3f;
    even = even * z + 0x1.fffffep-2f;
    return even + x * odd;
}

/* log((1 + s) / (1 - s)) = 2s + s x poly(x), 0 <= x = s^2 <= (3 - sqrt(8))^2.
   Relative error: 0.014 * 2^-24. */
FG_INLINE float fg_poly_log_f32(float x)
{
    float z = x * x;
    float even = 0x1.31e15cp-2f;
    float odd = 0x1.995ed2p-2f;
    even = even * z + 0x1.55557ap-1f;
    return even + x * odd;
}

/* log(erfc(x)) = x poly(x) - x, 0 <= x <= erf_max.
   Relative error: 0.65 * 2^-24. */
FG_INLINE float fg_poly_erfc_f32(float x)
{
    float z = x * x;
    float odd = -0x1.53693cp-15f;
    float even = 0x1.8d9ad6p-12f;
    odd = odd * z - 0x1.46d2bp-10f;
    even = even * z - 0x1.bd3b9ep-13f;
    odd = odd * z + 0x1.3ca312p-6f;
    even = even * z - 0x1.a52212p-4f;
    odd = odd * z - 0x1.45f294p-1f;
    even = even * z - 0x1.06ebaep-3f;
    return even + x * odd;
}

/* sin(pi x) = x poly(x^2), |x| <= 1/2.
   Relative error: 0.47 * 2^-24. */
FG_INLINE float fg_poly_sinpi_f32(float x)
{
    float z = x * x;
    float even = 0x1.407faap-4f;
    float odd = -0x1.328054p-1f;
    even = even * z + 0x1.466b28p+1f;
    odd = odd * z - 0x1.4abbd8p+2f;
    even = even * z + 0x1.921fb6p+1f;
    return even + x * odd;
}

static const double fg_log2e_f64 = 0x1.71547652b82fep+0;
static const double fg_ln2_f64 = 0x1.62e42fefa39efp-1;
static const double fg_ln2_hi_f64 = 0x1.62e42fefa38p-1;
static const double fg_ln2_lo_f64 = 0x1.ef35793c7673p-45;
static const double fg_sqrt_half_f64 = 0x1.6a09e667f3bcdp-1;
static const double fg_exp_min_f64 = -746;
static const double fg_exp_max_f64 = 710;
static const double fg_expm1_min_f64 = -39;
static const double fg_erf_max_f64 = 0x1.7afb48dc96627p+2;

/* expm1(x) = x + x^2 poly(x), |x| <= ln(2)/2.
   Relative error: 0.17 * 2^-53. */
FG_INLINE double fg_poly_expm1_f64(double x)
{
    double z = x * x;
    double odd = 0x1.ae7b03344ef6ap-26;
    double even = 0x1.28a2c0e91cee8p-22;
    odd = odd * z + 0x1.71de7e3f1bf17p-19;
    even = even * z + 0x1.a019a677bf8e8p-16;
    odd = odd * z + 0x1.a01a01798ab29p-13;
    even = even * z + 0x1.6c16c17f39981p-10;
    odd = odd * z + 0x1.1111111118213p-7;
    even = even * z + 0x1.55555555520f4p-5;
    odd = odd * z + 0x1.555555555553dp-3;
    even = even * z + 0x1.0000000000005p-1;
    return even + x * odd;
}

/* log((1 + s) / (1 - s)) = 2s + s x poly(x), 0 <= x = s^2 <= (3 - sqrt(8))^2.
   Relative error: 0.012 * 2^-53. */
FG_INLINE double fg_poly_log_f64(double x)
{
    double z = x * x;
    double even = 0x1.2f115b5b1286fp-3;
    double odd = 0x1.39a084cd4273fp-3;
    even = even * z + 0x1.74664b53c1817p-3;
    odd = odd * z + 0x1.c71c51c96ecd5p-3;
    even = even * z + 0x1.2492494246f3fp-2;
    odd = odd * z + 0x1.999999997f6c1p-2;
    even = even * z + 0x1.5555555555594p-1;
    return even + x * odd;
}

/* log(erfc(x)) = x poly(x) - x, 0 <= x <= erf_max.
   Relative error: 0.79 * 2^-53. */
FG_INLINE double fg_poly_erfc_f64(double x)
{
    double z = x * x;
    double even = -0x1.79891222afb4p-47;
    double odd = 0x1.dcd516f869997p-42;
    even = even * z - 0x1.11a5fe5086758p-37;
    odd = odd * z + 0x1.75c74a76f78ecp-34;
    even = even * z - 0x1.4a6704941cca3p-31;
    odd = odd * z + 0x1.743214fc757f8p-29;
    even = even * z - 0x1.96b0698b69c78p-28;
    odd = odd * z - 0x1.ee5b53fca08ddp-27;
    even = even * z + 0x1.96679ed8bb0a7p-23;
    odd = odd * z - 0x1.da70de7b51a2ep-21;
    even = even * z + 0x1.4c673c074a0f7p-19;
    odd = odd * z - 0x1.e6271c378ef8ep-19;
    even = even * z - 0x1.6fda4b0fdccaap-19;
    odd = odd * z + 0x1.eb476b139ca56p-16;
    even = even * z - 0x1.0d8dd6b3226fap-14;
    odd = odd * z - 0x1.b39f5aa8bf8e5p-16;
    even = even * z + 0x1.35689384d37f4p-11;
    odd = odd * z - 0x1.bca6ce6af2f6ap-10;
    even = even * z + 0x1.b6b6e28f111c1p-13;
    odd = odd * z + 0x1.396685860af4dp-6;
    even = even * z - 0x1.a4f4e2a18d191p-4;
    odd = odd * z - 0x1.45f306dc9c9cep-1;
    even = even * z - 0x1.06eba8214db65p-3;
    return even + x * odd;
}

/* sin(pi x) = x poly(x^2), |x| <= 1/2.
   Relative error: 0.35 * 2^-53. */
FG_INLINE double fg_poly_sinpi_f64(double x)
{
    double z = x * x;
    double even = 0x1.8f8d070c38947p-21;
    double odd = -0x1.6f04b22f4ceeap-16;
    even = even * z + 0x1.e8f020c9c7e5bp-12;
    odd = odd * z - 0x1.e307419cd9ba5p-8;
    even = even * z + 0x1.5078346aa719fp-4;
    odd = odd * z - 0x1.32d2cce5e6546p-1;
    even = even * z + 0x1.466bc67759fcap+1;
    odd = odd * z - 0x1.4abbce625be39p+2;
    even = even * z + 0x1.921fb54442d18p+1;
    return even + x * odd;
}
