"""Constants and polynomials of `math`, printed by tools/fit_math.py; do not edit."""

number = float.fromhex

FLOAT32 = {
    "log2e": number("0x1.7154760000000p+0"),
    "ln2": number("0x1.62e4300000000p-1"),
    "ln2_hi": number("0x1.62e4000000000p-1"),
    "ln2_lo": number("0x1.7f7d1c0000000p-20"),
    "sqrt_half": number("0x1.6a09e60000000p-1"),
    "exp_min": number("-0x1.a000000000000p+6"),
    "exp_max": number("0x1.6400000000000p+6"),
    "expm1_min": number("-0x1.3000000000000p+4"),
    "erf_max": number("0x1.f5a88a0000000p+1"),
}
POLYNOMIALS32 = {
    # expm1(x) = x + x^2 poly(x), |x| <= ln(2)/2
    "expm1": (
        number("0x1.fffffe0000000p-2"),
        number("0x1.5554ae0000000p-3"),
        number("0x1.5557240000000p-5"),
        number("0x1.1228e80000000p-7"),
        number("0x1.6b635c0000000p-10"),
    ),
    # log((1 + s) / (1 - s)) = 2s + s x poly(x), 0 <= x = s^2 <= (3 - sqrt(8))^2
    "log": (
        number("0x1.55557a0000000p-1"),
        number("0x1.995ed20000000p-2"),
        number("0x1.31e15c0000000p-2"),
    ),
    # log(erfc(x)) = x poly(x) - x, 0 <= x <= erf_max
    "erfc": (
        number("-0x1.06ebae0000000p-3"),
        number("-0x1.45f2940000000p-1"),
        number("-0x1.a522120000000p-4"),
        number("0x1.3ca3120000000p-6"),
        number("-0x1.bd3b9e0000000p-13"),
        number("-0x1.46d2b00000000p-10"),
        number("0x1.8d9ad60000000p-12"),
        number("-0x1.53693c0000000p-15"),
    ),
    # sin(pi x) = x poly(x^2), |x| <= 1/2
    "sinpi": (
        number("0x1.921fb60000000p+1"),
        number("-0x1.4abbd80000000p+2"),
        number("0x1.466b280000000p+1"),
        number("-0x1.3280540000000p-1"),
        number("0x1.407faa0000000p-4"),
    ),
}
FLOAT64 = {
    "log2e": number("0x1.71547652b82fep+0"),
    "ln2": number("0x1.62e42fefa39efp-1"),
    "ln2_hi": number("0x1.62e42fefa3800p-1"),
    "ln2_lo": number("0x1.ef35793c76730p-45"),
    "sqrt_half": number("0x1.6a09e667f3bcdp-1"),
    "exp_min": number("-0x1.7500000000000p+9"),
    "exp_max": number("0x1.6300000000000p+9"),
    "expm1_min": number("-0x1.3800000000000p+5"),
    "erf_max": number("0x1.7afb48dc96627p+2"),
}
POLYNOMIALS64 = {
    # expm1(x) = x + x^2 poly(x), |x| <= ln(2)/2
    "expm1": (
        number("0x1.0000000000005p-1"),
        number("0x1.555555555553dp-3"),
        number("0x1.55555555520f4p-5"),
        number("0x1.1111111118213p-7"),
        number("0x1.6c16c17f39981p-10"),
        number("0x1.a01a01798ab29p-13"),
        number("0x1.a019a677bf8e8p-16"),
        number("0x1.71de7e3f1bf17p-19"),
        number("0x1.28a2c0e91cee8p-22"),
        number("0x1.ae7b03344ef6ap-26"),
    ),
    # log((1 + s) / (1 - s)) = 2s + s x poly(x), 0 <= x = s^2 <= (3 - sqrt(8))^2
    "log": (
        number("0x1.5555555555594p-1"),
        number("0x1.999999997f6c1p-2"),
        number("0x1.2492494246f3fp-2"),
        number("0x1.c71c51c96ecd5p-3"),
        number("0x1.74664b53c1817p-3"),
        number("0x1.39a084cd4273fp-3"),
        number("0x1.2f115b5b1286fp-3"),
    ),
    # log(erfc(x)) = x poly(x) - x, 0 <= x <= erf_max
    "erfc": (
        number("-0x1.06eba8214db65p-3"),
        number("-0x1.45f306dc9c9cep-1"),
        number("-0x1.a4f4e2a18d191p-4"),
        number("0x1.396685860af4dp-6"),
        number("0x1.b6b6e28f111c1p-13"),
        number("-0x1.bca6ce6af2f6ap-10"),
        number("0x1.35689384d37f4p-11"),
        number("-0x1.b39f5aa8bf8e5p-16"),
        number("-0x1.0d8dd6b3226fap-14"),
        number("0x1.eb476b139ca56p-16"),
        number("-0x1.6fda4b0fdccaap-19"),
        number("-0x1.e6271c378ef8ep-19"),
        number("0x1.4c673c074a0f7p-19"),
        number("-0x1.da70de7b51a2ep-21"),
        number("0x1.96679ed8bb0a7p-23"),
        number("-0x1.ee5b53fca08ddp-27"),
        number("-0x1.96b0698b69c78p-28"),
        number("0x1.743214fc757f8p-29"),
        number("-0x1.4a6704941cca3p-31"),
        number("0x1.75c74a76f78ecp-34"),
        number("-0x1.11a5fe5086758p-37"),
        number("0x1.dcd516f869997p-42"),
        number("-0x1.79891222afb40p-47"),
    ),
    # sin(pi x) = x poly(x^2), |x| <= 1/2
    "sinpi": (
        number("0x1.921fb54442d18p+1"),
        number("-0x1.4abbce625be39p+2"),
        number("0x1.466bc67759fcap+1"),
        number("-0x1.32d2cce5e6546p-1"),
        number("0x1.5078346aa719fp-4"),
        number("-0x1.e307419cd9ba5p-8"),
        number("0x1.e8f020c9c7e5bp-12"),
        number("-0x1.6f04b22f4ceeap-16"),
        number("0x1.8f8d070c38947p-21"),
    ),
}
