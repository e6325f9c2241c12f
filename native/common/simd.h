// The few vector operations the kernels need: F a float in every lane, I an integer, M yes or no.
//
// Arithmetic comes from the GCC/Clang vector extensions. What those cannot say (minimum, maximum, square root, gather,
// "is any lane set"), and masks, is one small function per instruction set: AVX-512 keeps a mask in a register of
// sixteen bits, the others in a vector of all ones and all zeros, and a compiler left to convert between the two does
// so at every selection.
// A file that includes this is compiled once per instruction set, with AIGA_ISA naming the set.
#pragma once
#include "isa.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace aiga::AIGA_ISA {

constexpr int W = AIGA_REGISTER / 4;

#define AIGA_INLINE static inline __attribute__((always_inline))
#define AIGA_MEMBER __attribute__((always_inline))

typedef float Floats __attribute__((vector_size(W * 4)));
typedef int32_t Integers __attribute__((vector_size(W * 4)));

// A number becomes one in every lane; a float becomes an F and nothing else, so that `select` can tell.
template <typename T, typename U> using Exactly = std::enable_if_t<std::is_same_v<T, U>, int>;

struct F {
  Floats v;
  F() = default;
  AIGA_MEMBER F(float x) : v(x - Floats{}) {}
  AIGA_MEMBER F(Floats x) : v(x) {}
};

struct I {
  Integers v;
  I() = default;
  template <typename T, Exactly<T, int32_t> = 0> AIGA_MEMBER I(T x) : v(x - Integers{}) {}
  AIGA_MEMBER I(Integers x) : v(x) {}
};

#define AIGA_OPERATOR(T, op)                                 \
  AIGA_INLINE T operator op(T a, T b) { return a.v op b.v; } \
  AIGA_INLINE T& operator op##=(T& a, T b) { return a = a op b; }
AIGA_OPERATOR(F, +)
AIGA_OPERATOR(F, -)
AIGA_OPERATOR(F, *)
AIGA_OPERATOR(F, /)
AIGA_OPERATOR(I, +)
AIGA_OPERATOR(I, *)
AIGA_OPERATOR(I, &)
AIGA_OPERATOR(I, |)
AIGA_OPERATOR(I, ^)
AIGA_INLINE I operator<<(I a, I b) { return a.v << b.v; }
AIGA_INLINE I operator~(I a) { return ~a.v; }
AIGA_INLINE F operator-(F a) { return -a.v; }

AIGA_INLINE F load(const float* p) { F x; std::memcpy(&x, p, sizeof x); return x; }
AIGA_INLINE void store(float* p, F x) { std::memcpy(p, &x, sizeof x); }
AIGA_INLINE F bits(I x) { return (Floats)x.v; }
AIGA_INLINE I bits(F x) { return (Integers)x.v; }
AIGA_INLINE F abs(F x) { return bits(bits(x) & 0x7fffffff); }
AIGA_INLINE F tofloat(I x) { return __builtin_convertvector(x.v, Floats); }
AIGA_INLINE I truncate(F x) { return __builtin_convertvector(x.v, Integers); }

#if defined(__AVX512F__)
typedef __mmask16 Mask;
struct M {
  Mask v;
  M() = default;
  template <typename T, Exactly<T, bool> = 0> AIGA_MEMBER M(T x) : v(x ? 0xffff : 0) {}
  AIGA_MEMBER explicit M(Mask x) : v(x) {}
  AIGA_MEMBER bool operator[](int lane) const { return v >> lane & 1; }
};
#define AIGA_COMPARISON(op, code, integer_code)                                                         \
  AIGA_INLINE M operator op(F a, F b) { return M(_mm512_cmp_ps_mask((__m512)a.v, (__m512)b.v, code)); } \
  AIGA_INLINE M operator op(I a, I b) { return M(_mm512_cmp_epi32_mask((__m512i)a.v, (__m512i)b.v, integer_code)); }
AIGA_COMPARISON(<, _CMP_LT_OQ, _MM_CMPINT_LT)
AIGA_COMPARISON(<=, _CMP_LE_OQ, _MM_CMPINT_LE)
AIGA_COMPARISON(>, _CMP_GT_OQ, _MM_CMPINT_NLE)
AIGA_COMPARISON(>=, _CMP_GE_OQ, _MM_CMPINT_NLT)
AIGA_COMPARISON(==, _CMP_EQ_OQ, _MM_CMPINT_EQ)
AIGA_COMPARISON(!=, _CMP_NEQ_UQ, _MM_CMPINT_NE)
AIGA_INLINE bool any(M m) { return m.v != 0; }
AIGA_INLINE F only(M m, F x) { return (Floats)_mm512_maskz_mov_ps(m.v, (__m512)x.v); }  // x where m is set, else 0
AIGA_INLINE I only(M m, I x) { return (Integers)_mm512_maskz_mov_epi32(m.v, (__m512i)x.v); }
AIGA_INLINE F select(M m, F yes, F no) { return (Floats)_mm512_mask_blend_ps(m.v, (__m512)no.v, (__m512)yes.v); }
AIGA_INLINE I select(M m, I yes, I no) { return (Integers)_mm512_mask_blend_epi32(m.v, (__m512i)no.v, (__m512i)yes.v); }
#else
typedef Integers Mask;
struct M {
  Mask v;
  M() = default;
  template <typename T, Exactly<T, bool> = 0> AIGA_MEMBER M(T x) : v(-int32_t(x) - Integers{}) {}
  AIGA_MEMBER explicit M(Mask x) : v(x) {}
  AIGA_MEMBER bool operator[](int lane) const { return v[lane] != 0; }
};
#define AIGA_COMPARISON(op)                                     \
  AIGA_INLINE M operator op(F a, F b) { return M(a.v op b.v); } \
  AIGA_INLINE M operator op(I a, I b) { return M(a.v op b.v); }
AIGA_COMPARISON(<)
AIGA_COMPARISON(<=)
AIGA_COMPARISON(>)
AIGA_COMPARISON(>=)
AIGA_COMPARISON(==)
AIGA_COMPARISON(!=)
#if defined(__AVX2__)
AIGA_INLINE bool any(M m) { return !_mm256_testz_si256((__m256i)m.v, (__m256i)m.v); }
AIGA_INLINE F select(M m, F yes, F no) {
  return (Floats)_mm256_blendv_ps((__m256)no.v, (__m256)yes.v, (__m256)m.v);
}
#else
#if defined(__SSE2__)
AIGA_INLINE bool any(M m) { return _mm_movemask_epi8((__m128i)m.v) != 0; }
#else
AIGA_INLINE bool any(M m) { return (m.v[0] | m.v[1] | m.v[2] | m.v[3]) != 0; }
#endif
AIGA_INLINE F select(M m, F yes, F no) { return m.v ? yes.v : no.v; }
#endif
AIGA_INLINE I only(M m, I x) { return x.v & m.v; }  // x where m is set, else 0
AIGA_INLINE F only(M m, F x) { return bits(only(m, bits(x))); }
AIGA_INLINE I select(M m, I yes, I no) { return bits(select(m, bits(yes), bits(no))); }
#endif

AIGA_INLINE M operator&(M a, M b) { return M(Mask(a.v & b.v)); }
AIGA_INLINE M operator|(M a, M b) { return M(Mask(a.v | b.v)); }
AIGA_INLINE M operator^(M a, M b) { return M(Mask(a.v ^ b.v)); }
AIGA_INLINE M operator~(M a) { return M(Mask(~a.v)); }
AIGA_INLINE M& operator&=(M& a, M b) { return a = a & b; }
AIGA_INLINE M& operator|=(M& a, M b) { return a = a | b; }
AIGA_INLINE M& operator^=(M& a, M b) { return a = a ^ b; }
AIGA_INLINE M select(M m, M yes, M no) { return (m & yes) | (~m & no); }

#if defined(__AVX512F__)
AIGA_INLINE F min(F a, F b) { return (Floats)_mm512_min_ps((__m512)a.v, (__m512)b.v); }
AIGA_INLINE F max(F a, F b) { return (Floats)_mm512_max_ps((__m512)a.v, (__m512)b.v); }
AIGA_INLINE F sqrt(F a) { return (Floats)_mm512_sqrt_ps((__m512)a.v); }
AIGA_INLINE F gather(const float* p, I i) { return (Floats)_mm512_i32gather_ps((__m512i)i.v, p, 4); }
#elif defined(__AVX2__)
AIGA_INLINE F min(F a, F b) { return (Floats)_mm256_min_ps((__m256)a.v, (__m256)b.v); }
AIGA_INLINE F max(F a, F b) { return (Floats)_mm256_max_ps((__m256)a.v, (__m256)b.v); }
AIGA_INLINE F sqrt(F a) { return (Floats)_mm256_sqrt_ps((__m256)a.v); }
AIGA_INLINE F gather(const float* p, I i) { return (Floats)_mm256_i32gather_ps(p, (__m256i)i.v, 4); }
#else
#if defined(__SSE2__)
AIGA_INLINE F min(F a, F b) { return (Floats)_mm_min_ps((__m128)a.v, (__m128)b.v); }
AIGA_INLINE F max(F a, F b) { return (Floats)_mm_max_ps((__m128)a.v, (__m128)b.v); }
AIGA_INLINE F sqrt(F a) { return (Floats)_mm_sqrt_ps((__m128)a.v); }
#else
AIGA_INLINE F min(F a, F b) { return select(a < b, a, b); }
AIGA_INLINE F max(F a, F b) { return select(a > b, a, b); }
AIGA_INLINE F sqrt(F a) { F r; for (int k = 0; k < W; k++) r.v[k] = std::sqrt(a.v[k]); return r; }
#endif
AIGA_INLINE F gather(const float* p, I i) { F r; for (int k = 0; k < W; k++) r.v[k] = p[i.v[k]]; return r; }
#endif

// The first `count` numbers of a vector, all of it where they are more; the rest is 0, or stays as it is in memory.
#if defined(__AVX512F__)
AIGA_INLINE Mask first(int64_t count) { return Mask(count < W ? (1u << (count < 0 ? 0 : count)) - 1 : 0xffff); }
AIGA_INLINE F load_part(const float* p, int64_t count) { return (Floats)_mm512_maskz_loadu_ps(first(count), p); }
AIGA_INLINE void store_part(float* p, F x, int64_t count) { _mm512_mask_storeu_ps(p, first(count), (__m512)x.v); }
#elif defined(__AVX2__)
AIGA_INLINE __m256i first(int64_t count) {
  const int wanted = count < 0 ? 0 : count < W ? int(count) : W;
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(wanted), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
AIGA_INLINE F load_part(const float* p, int64_t count) { return (Floats)_mm256_maskload_ps(p, first(count)); }
AIGA_INLINE void store_part(float* p, F x, int64_t count) { _mm256_maskstore_ps(p, first(count), (__m256)x.v); }
#else
AIGA_INLINE F load_part(const float* p, int64_t count) {
  if (count >= W) return load(p);
  F x = 0.0f;
  for (int k = 0; k < W; k++) if (k < count) x.v[k] = p[k];
  return x;
}
AIGA_INLINE void store_part(float* p, F x, int64_t count) {
  if (count >= W) return store(p, x);
  for (int k = 0; k < W; k++) if (k < count) p[k] = x.v[k];
}
#endif

// a * b + c, rounded once where the instruction set can: a compiler that has moved the product elsewhere rounds it twice.
AIGA_INLINE F fused(F a, F b, F c) {
#if defined(__AVX512F__)
  return (Floats)_mm512_fmadd_ps((__m512)a.v, (__m512)b.v, (__m512)c.v);
#elif defined(__FMA__)
  return (Floats)_mm256_fmadd_ps((__m256)a.v, (__m256)b.v, (__m256)c.v);
#else
  return a * b + c;
#endif
}

AIGA_INLINE F clamp(F x, F lo, F hi) { return max(lo, min(hi, x)); }

// Sine and cosine by reduction to [-pi/4, pi/4] and Taylor polynomials: below 1e-7 absolute for |x| < 1e3.
AIGA_INLINE void sincos(F x, F& sine, F& cosine) {
  const F shift = 12582912.0f;  // 1.5 * 2^23: adding and subtracting it rounds to an integer
  F turns = x * 0.636619772f + shift;
  I quadrant = bits(turns);
  turns -= shift;
  F r = x - turns * 1.5707964f + turns * 4.3711388e-8f;  // pi/2 in two parts
  F z = r * r;
  F s = r + r * z * (-1.6666666e-1f + z * (8.3333300e-3f + z * (-1.9840874e-4f + z * 2.7525562e-6f)));
  F c = 1.0f - z * 0.5f + z * z * (4.1666667e-2f + z * (-1.3888889e-3f + z * (2.4801587e-5f - z * 2.7557319e-7f)));
  M odd = (quadrant & 1) != 0;
  F rs = select(odd, c, s), rc = select(odd, s, c);
  sine = bits(bits(rs) ^ ((quadrant & 2) << 30));
  cosine = bits(bits(rc) ^ (((quadrant + 1) & 2) << 30));
}

// Hyperbolic tangent as 1 - 2 / (exp(2 x) + 1): below 2e-7 absolute.
AIGA_INLINE F tanh(F x) {
  F y = clamp(x, -9.5f, 9.5f) * 2.885390082f;  // 2 / ln 2
  const F shift = 12582912.0f;
  F whole = y + shift;
  I exponent = bits(whole) << 23;
  F f = y - (whole - shift);
  F p = 1.0f + f * (6.9314718e-1f + f * (2.4022651e-1f + f * (5.5504109e-2f +
        f * (9.6181291e-3f + f * (1.3333558e-3f + f * 1.5403530e-4f)))));
  return 1.0f - 2.0f / (bits(bits(p) + exponent) + 1.0f);
}

}  // namespace aiga::AIGA_ISA
