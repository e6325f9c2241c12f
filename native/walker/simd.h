// The few vector operations the kernel needs, one lane per environment.
//
// Arithmetic, comparison and selection come from the GCC/Clang vector extensions; what those cannot say
// (minimum, maximum, square root, gather, "is any lane set") is one small function per instruction set.
// A file that includes this is compiled once per instruction set, with AIGA_ISA naming the set.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace aiga::AIGA_ISA {

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

typedef float F __attribute__((vector_size(W * 4)));
typedef int32_t I __attribute__((vector_size(W * 4)));  // an integer, or a mask: all ones or all zeros

#define AIGA_INLINE static inline __attribute__((always_inline))

AIGA_INLINE F splat(float x) { return x - F{}; }
AIGA_INLINE I splati(int32_t x) { return x - I{}; }
AIGA_INLINE F load(const float* p) { F v; std::memcpy(&v, p, sizeof v); return v; }
AIGA_INLINE void store(float* p, F v) { std::memcpy(p, &v, sizeof v); }
AIGA_INLINE F bits(I x) { F v; std::memcpy(&v, &x, sizeof v); return v; }
AIGA_INLINE I bits(F x) { I v; std::memcpy(&v, &x, sizeof v); return v; }
AIGA_INLINE F only(I mask, F x) { return bits(bits(x) & mask); }  // x where the mask is set, else 0
AIGA_INLINE F abs(F x) { return bits(bits(x) & splati(0x7fffffff)); }
AIGA_INLINE F tofloat(I x) { return __builtin_convertvector(x, F); }
AIGA_INLINE I truncate(F x) { return __builtin_convertvector(x, I); }

// Masks are all ones or all zeros; told so, the compiler need not compare them with zero again.
#if defined(__AVX2__) && !defined(__AVX512F__)
AIGA_INLINE F select(I mask, F yes, F no) { return (F)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)mask); }
#else
AIGA_INLINE F select(I mask, F yes, F no) { return mask ? yes : no; }
#endif
AIGA_INLINE I selecti(I mask, I yes, I no) { return bits(select(mask, bits(yes), bits(no))); }

#if defined(__AVX512F__)
AIGA_INLINE F min(F a, F b) { return (F)_mm512_min_ps((__m512)a, (__m512)b); }
AIGA_INLINE F max(F a, F b) { return (F)_mm512_max_ps((__m512)a, (__m512)b); }
AIGA_INLINE F sqrt(F a) { return (F)_mm512_sqrt_ps((__m512)a); }
AIGA_INLINE F gather(const float* p, I i) { return (F)_mm512_i32gather_ps((__m512i)i, p, 4); }
AIGA_INLINE bool any(I m) { return _mm512_test_epi32_mask((__m512i)m, (__m512i)m) != 0; }
#elif defined(__AVX2__)
AIGA_INLINE F min(F a, F b) { return (F)_mm256_min_ps((__m256)a, (__m256)b); }
AIGA_INLINE F max(F a, F b) { return (F)_mm256_max_ps((__m256)a, (__m256)b); }
AIGA_INLINE F sqrt(F a) { return (F)_mm256_sqrt_ps((__m256)a); }
AIGA_INLINE F gather(const float* p, I i) { return (F)_mm256_i32gather_ps(p, (__m256i)i, 4); }
AIGA_INLINE bool any(I m) { return !_mm256_testz_si256((__m256i)m, (__m256i)m); }
#else
#if defined(__SSE2__)
AIGA_INLINE F min(F a, F b) { return (F)_mm_min_ps((__m128)a, (__m128)b); }
AIGA_INLINE F max(F a, F b) { return (F)_mm_max_ps((__m128)a, (__m128)b); }
AIGA_INLINE F sqrt(F a) { return (F)_mm_sqrt_ps((__m128)a); }
AIGA_INLINE bool any(I m) { return _mm_movemask_epi8((__m128i)m) != 0; }
#else
AIGA_INLINE F min(F a, F b) { return a < b ? a : b; }
AIGA_INLINE F max(F a, F b) { return a > b ? a : b; }
AIGA_INLINE F sqrt(F a) { F r; for (int k = 0; k < W; k++) r[k] = std::sqrt(a[k]); return r; }
AIGA_INLINE bool any(I m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }
#endif
AIGA_INLINE F gather(const float* p, I i) { F r; for (int k = 0; k < W; k++) r[k] = p[i[k]]; return r; }
#endif

AIGA_INLINE F clamp(F x, F lo, F hi) { return max(lo, min(hi, x)); }
AIGA_INLINE bool all(I m) { return !any(~m); }

// Sine and cosine by reduction to [-pi/4, pi/4] and Taylor polynomials: below 1e-7 absolute for |x| < 1e3.
AIGA_INLINE void sincos(F x, F& sine, F& cosine) {
  const F shift = splat(12582912.0f);  // 1.5 * 2^23: adding and subtracting it rounds to an integer
  F turns = x * 0.636619772f + shift;
  I quadrant = bits(turns);
  turns -= shift;
  F r = x - turns * 1.5707964f + turns * 4.3711388e-8f;  // pi/2 in two parts
  F z = r * r;
  F s = r + r * z * (-1.6666666e-1f + z * (8.3333300e-3f + z * (-1.9840874e-4f + z * 2.7525562e-6f)));
  F c = 1.0f - z * 0.5f + z * z * (4.1666667e-2f + z * (-1.3888889e-3f + z * (2.4801587e-5f - z * 2.7557319e-7f)));
  I odd = (quadrant & 1) != 0;
  F rs = select(odd, c, s), rc = select(odd, s, c);
  sine = bits(bits(rs) ^ ((quadrant & 2) << 30));
  cosine = bits(bits(rc) ^ (((quadrant + 1) & 2) << 30));
}

// Hyperbolic tangent as 1 - 2 / (exp(2 x) + 1): below 2e-7 absolute.
AIGA_INLINE F tanh(F x) {
  F y = clamp(x, splat(-9.5f), splat(9.5f)) * 2.885390082f;  // 2 / ln 2
  const F shift = splat(12582912.0f);
  F whole = y + shift;
  I exponent = bits(whole) << 23;
  F f = y - (whole - shift);
  F p = 1.0f + f * (6.9314718e-1f + f * (2.4022651e-1f + f * (5.5504109e-2f +
        f * (9.6181291e-3f + f * (1.3333558e-3f + f * 1.5403530e-4f)))));
  return 1.0f - 2.0f / (bits(bits(p) + exponent) + 1.0f);
}

}  // namespace aiga::AIGA_ISA
