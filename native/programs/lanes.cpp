// Runs one program on W tasks at once: a lane is a task, so that what an instruction is has to be found out once for all
// of them. A number of memory is a group of W lanes; vectors and row-major matrices are groups in a row.
//
// Sums are taken in the order of their elements and no product is fused with a sum, so that a task's result has the
// same bits whatever W, the instruction set and the company.
// Compiled once per instruction set, with AIGA_ISA naming the set.
#include "../common/isa.h"
#include "programs.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace aiga::programs::AIGA_ISA {
namespace {

#define AIGA_INLINE inline __attribute__((always_inline))
#define AIGA_LAMBDA __attribute__((always_inline))

template <typename T, int BYTES> struct Vectors { typedef T type __attribute__((vector_size(BYTES))); };

template <typename T, int W> struct Machine {
  static constexpr int BYTES = std::min(AIGA_REGISTER, int(W * sizeof(T)));
  static constexpr int L = BYTES / sizeof(T), K = W / L;  // lanes of one register, registers of one group
  using X = typename Vectors<T, BYTES>::type;

  const Run& run;
  const int f;
  T* const memory;
  uint64_t seed[W];   // of each lane's task
  uint64_t time = 0;  // component functions run so far

  static AIGA_INLINE X load(const T* p) { X x; std::memcpy(&x, p, sizeof x); return x; }
  static AIGA_INLINE void store(T* p, X x) { std::memcpy(p, &x, sizeof x); }
  static AIGA_INLINE X all(T x) { return x - X{}; }
  static AIGA_INLINE X abs(X x) { return x < all(0) ? -x : x + all(0); }  // of -0 too
  static AIGA_INLINE X root(X x) { X y; for (int l = 0; l < L; l++) y[l] = std::sqrt(x[l]); return y; }

  // out[k] = fn(a[k]), and fn(a[k], b[k]), over n groups.
  template <typename Fn> static AIGA_INLINE void map(T* out, const T* a, int n, Fn fn) {
    for (int k = 0; k < n * W; k += L) store(out + k, fn(load(a + k)));
  }
  template <typename Fn> static AIGA_INLINE void map(T* out, const T* a, const T* b, int n, Fn fn) {
    for (int k = 0; k < n * W; k += L) store(out + k, fn(load(a + k), load(b + k)));
  }
  static AIGA_INLINE void copy(T* out, const T* a, int n) {
    map(out, a, n, [](X x) AIGA_LAMBDA { return x; });
  }
  // out[k] = s a[k], or that more, over n groups.
  template <bool ADD> static AIGA_INLINE void scale(T* out, const T* s, const T* a, int n) {
    for (int r = 0; r < W; r += L) {
      const X x = load(s + r);
      for (int k = r; k < n * W; k += W) store(out + k, ADD ? load(out + k) + x * load(a + k) : x * load(a + k));
    }
  }
  // R rows of a, their elements one group apart, times what b has every `stride` groups; to every `apart` groups.
  template <int R> static AIGA_INLINE void dots(T* out, const T* a, const T* b, int f, int stride, int apart) {
    for (int r = 0; r < W; r += L) {
      X s[R];
      for (int i = 0; i < R; i++) s[i] = load(a + i * f * W + r) * load(b + r);
      for (int k = 1; k < f; k++) {
        const X y = load(b + k * stride * W + r);
        for (int i = 0; i < R; i++) s[i] += load(a + (i * f + k) * W + r) * y;
      }
      for (int i = 0; i < R; i++) store(out + i * apart * W + r, s[i]);
    }
  }
  static AIGA_INLINE void product(T* out, const T* a, const T* b, int f, int stride, int apart) {
    int i = 0;
    for (; i + 4 <= f; i += 4) dots<4>(out + i * apart * W, a + i * f * W, b, f, stride, apart);
    for (; i < f; i++) dots<1>(out + i * apart * W, a + i * f * W, b, f, stride, apart);
  }
  template <typename Fn> static AIGA_INLINE void each(T* out, const T* a, Fn fn) {
    for (int l = 0; l < W; l++) out[l] = fn(a[l]);
  }
  // The sum of term(k) over n groups, for the register at lane r.
  template <typename Term> static AIGA_INLINE X sum(int n, Term term) {
    X s = term(0);
    for (int k = 1; k < n; k++) s += term(k);
    return s;
  }
  // out = finish(sum over `n` of fn) for each of `rows` rows of `a`, whose elements are `stride` groups apart.
  template <typename Fn, typename Finish>
  static AIGA_INLINE void rows(T* out, const T* a, int rows, int n, int row, int stride, Fn fn, Finish finish) {
    for (int i = 0; i < rows; i++)
      for (int r = 0; r < W; r += L) {
        const T* p = a + i * row * W + r;
        store(out + i * W + r, finish(sum(n, [&](int k) AIGA_LAMBDA { return fn(load(p + k * stride * W)); })));
      }
  }
  // Rows are summed first, then their sums.
  template <typename Fn> static AIGA_INLINE X total(const T* a, int rows, int n, Fn fn) {
    return sum(rows, [&](int i) AIGA_LAMBDA {
      return sum(n, [&](int k) AIGA_LAMBDA { return fn(load(a + (i * n + k) * W)); });
    });
  }
  template <typename Fn, typename Finish>
  static AIGA_INLINE void whole(T* out, const T* a, int rows, int n, Fn fn, Finish finish) {
    for (int r = 0; r < W; r += L) store(out + r, finish(total(a + r, rows, n, fn)));
  }
  static AIGA_INLINE void deviation(T* out, const T* a, int rows, int n) {
    const X share = all(T(rows) * T(n));
    for (int r = 0; r < W; r += L) {
      const X mean = total(a + r, rows, n, [](X x) AIGA_LAMBDA { return x; }) / share;
      const X square = total(a + r, rows, n, [&](X x) AIGA_LAMBDA { return (x - mean) * (x - mean); });
      store(out + r, root(square / share));
    }
  }

  template <typename Fn> void random(T* out, int n, const Step& s, Fn fn) {
    for (int l = 0; l < W; l++) {
      const uint64_t h = fold(fold(seed[l], time), s.id);
      for (int k = 0; k < n; k++) out[k * W + l] = T(fn(fold(h, k), s.data[0], s.data[1]));
    }
  }
  static double unit(uint64_t h) { return double(h >> 11) * 0x1p-53; }
  static double uniform(uint64_t h, double low, double high) { return low + (high - low) * unit(h); }
  static double gaussian(uint64_t h, double mean, double deviation) {  // Box and Muller's
    const double radius = std::sqrt(-2 * std::log(unit(h) + 0x1p-53));
    return mean + deviation * (radius * std::cos(6.283185307179586 * unit(mix(h + GOLDEN))));
  }

  void execute(const std::vector<Step>& steps) {
    const int f = this->f, ff = f * f;
    T* const memory = this->memory;
    const auto square = [](X x) AIGA_LAMBDA { return x * x; };
    const auto same = [](X x) AIGA_LAMBDA { return x; };
    for (const Step *step = steps.data(), *end = step + steps.size(); step != end; step++) {
      const T *a = memory + size_t(step->a) * W, *b = memory + size_t(step->b) * W;
      T* out = memory + size_t(step->out) * W;
      T* apart = out == a || out == b ? memory + size_t(run.tape.scratch) * W : out;
      int n = 0;
#define AIGA_SIZES(scalar, vector, matrix) \
  case matrix: n = ff; goto body_##scalar; \
  case vector: n = f; goto body_##scalar;  \
  case scalar: n = 1;                      \
  body_##scalar:
      switch (step->op) {
        case 0: break;
        AIGA_SIZES(1, 23, 39) map(out, a, b, n, [](X x, X y) AIGA_LAMBDA { return x + y; }); break;
        AIGA_SIZES(2, 24, 40) map(out, a, b, n, [](X x, X y) AIGA_LAMBDA { return x - y; }); break;
        AIGA_SIZES(3, 25, 41) map(out, a, b, n, [](X x, X y) AIGA_LAMBDA { return x * y; }); break;
        AIGA_SIZES(4, 26, 42) map(out, a, b, n, [](X x, X y) AIGA_LAMBDA { return x / y; }); break;
        AIGA_SIZES(5, 22, 38) map(out, a, n, [](X x) AIGA_LAMBDA { return abs(x); }); break;
        AIGA_SIZES(6, 20, 30) map(out, a, n, [](X x) AIGA_LAMBDA { return all(1) / x; }); break;
        case 7: each(out, a, [](T x) { return std::sin(x); }); break;
        case 8: each(out, a, [](T x) { return std::cos(x); }); break;
        case 9: each(out, a, [](T x) { return std::tan(x); }); break;
        case 10: each(out, a, [](T x) { return std::asin(x); }); break;
        case 11: each(out, a, [](T x) { return std::acos(x); }); break;
        case 12: each(out, a, [](T x) { return std::atan(x); }); break;
        case 13: each(out, a, [](T x) { return std::exp(x); }); break;
        case 14: each(out, a, [](T x) { return std::log(x); }); break;
        case 15: map(out, a, 1, [](X x) AIGA_LAMBDA { return x >= all(0) ? all(1) : all(0); }); break;
        case 17: n = ff; goto positive;
        case 16: n = f;
        positive: map(out, a, n, [](X x) AIGA_LAMBDA { return x > all(0) ? all(1) : all(0); }); break;
        case 18: scale<false>(out, a, b, f); break;
        case 29: scale<false>(out, a, b, ff); break;
        case ADD_SCALED: scale<true>(out, a, b, f); break;
        case 19: for (int k = 0; k < f; k++) copy(out + k * W, a, 1); break;
        case 21: whole(out, a, 1, f, square, root); break;
        case 27: dots<1>(out, a, b, f, 1, 1); break;
        case 28: for (int i = 0; i < f; i++) scale<false>(out + i * f * W, a + i * W, b, f); break;
        case ADD_OUTER: for (int i = 0; i < f; i++) scale<true>(out + i * f * W, a + i * W, b, f); break;
        case 31:
          product(apart, a, b, f, 1, 1);
          if (apart != out) copy(out, apart, f);
          break;
        case 32: for (int i = 0; i < ff; i++) copy(out + i * W, a + i / f * W, 1); break;
        case 33: for (int i = 0; i < f; i++) copy(out + i * f * W, a, f); break;
        case 34: whole(out, a, f, f, square, root); break;
        case 35: rows(out, a, f, f, 1, f, square, root); break;
        case 36: rows(out, a, f, f, f, 1, square, root); break;
        case 37:
          for (int i = 0; i < f; i++)
            for (int k = 0; k < f; k++) copy(apart + (k * f + i) * W, a + (i * f + k) * W, 1);
          if (apart != out) copy(out, apart, ff);
          break;
        case 43:
          for (int j = 0; j < f; j++) product(apart + j * W, a, b + j * W, f, f, f);
          if (apart != out) copy(out, apart, ff);
          break;
        AIGA_SIZES(44, 45, 46) map(out, a, b, n, [](X x, X y) AIGA_LAMBDA { return (x < y) | (x != x) ? x : y; }); break;
        AIGA_SIZES(47, 48, 49) map(out, a, b, n, [](X x, X y) AIGA_LAMBDA { return (x > y) | (x != x) ? x : y; }); break;
        case 50: whole(out, a, 1, f, same, [&](X x) AIGA_LAMBDA { return x / all(T(f)); }); break;
        case 51: whole(out, a, f, f, same, [&](X x) AIGA_LAMBDA { return x / all(T(ff)); }); break;
        case 52: rows(out, a, f, f, f, 1, same, [&](X x) AIGA_LAMBDA { return x / all(T(f)); }); break;
        case 53: for (int i = 0; i < f; i++) deviation(out + i * W, a + i * f * W, 1, f); break;
        case 54: deviation(out, a, 1, f); break;
        case 55: deviation(out, a, f, f); break;
        case 57: out += size_t(step->data[1]) * W; goto constant;
        case 58: out += size_t(step->data[1] * f + step->data[2]) * W; goto constant;
        case 56:
        constant: for (int r = 0; r < W; r += L) store(out + r, all(T(step->data[0]))); break;
        AIGA_SIZES(59, 60, 61) random(out, n, *step, uniform); break;
        AIGA_SIZES(62, 63, 64) random(out, n, *step, gaussian); break;
      }
    }
  }

  // One example as a program that predicts it sees it: its features, no label.
  AIGA_INLINE void predict(const T* x) {
    copy(memory + run.tape.first_vector * W, x, f);
    std::memset(memory, 0, W * sizeof(T));
    time++, execute(run.tape.part[PREDICT]);
    if (run.rules.accuracy) each(memory + W, memory + W, [](T p) { return 1 / (1 + std::exp(-p)); });
  }

  void task() {
    using Mask = decltype(X{} < X{});
    const T *numbers = reinterpret_cast<const T*>(run.pack.numbers.get()), *train_y = numbers + run.pack.train_y;
    const T *valid_x = numbers + run.pack.valid_x, *valid_y = numbers + run.pack.valid_y;
    const X limit = all(T(run.rules.limit));
    Mask over[K] = {};  // the tasks that have ended early
    X error[K];
    double best[W] = {};
    uint64_t h = 0;
    const auto met = [&](int r, const T* y) AIGA_LAMBDA { return load(y + r * L) - load(memory + W + r * L); };
    const auto judge = [&](int r) AIGA_LAMBDA { over[r] |= ~(abs(error[r]) <= limit); };  // so that NaN ends it too
    const auto note = [&] {  // into the fingerprint
      if (!run.print) return;
      uint64_t bits;
      const double e = over[0][0] ? NAN : std::abs(double(error[0][0]));
      std::memcpy(&bits, &e, 8);
      h = fold(h, (bits + (1 << 19)) >> 20);  // 2e-10 of it: what another order of summation may change
    };
    const auto ended = [&] {
      bool every = true;
      for (int r = 0; r < K; r++)
        for (int l = 0; l < L; l++) every &= over[r][l] != 0;
      return every;
    };
    // Looking costs more than going on a little: what ends when changes no result.
    const auto lost = [&](int at) { return run.print ? over[0][0] != 0 : at % 16 == 15 && ended(); };

    std::memset(memory, 0, size_t(run.tape.groups) * W * sizeof(T));
    execute(run.tape.part[SETUP]);
    for (int epoch = 0; epoch < run.rules.epochs; epoch++) {
      for (int t = 0; t < run.train; t++) {
        const T* y = train_y + t * W;
        predict(numbers + size_t(t) * f * W);
        for (int r = 0; r < K; r++) error[r] = met(r, y), judge(r);
        note();
        if (lost(t)) return finish(best, h);
        std::memcpy(memory, y, W * sizeof(T));
        time++, execute(run.tape.part[LEARN]);
      }
      X loss[K] = {};
      for (int t = 0; t < run.valid; t++) {
        const T* y = valid_y + t * W;
        predict(valid_x + size_t(t) * f * W);
        for (int r = 0; r < K; r++) {
          error[r] = met(r, y), judge(r);
          if (run.rules.accuracy) {
            const X p = load(memory + W + r * L), label = load(y + r * L), half = all(T(0.5));
            loss[r] += ((p > half) ^ (label > half)) ? all(1) : all(0);
          } else {
            loss[r] += error[r] * error[r];
          }
        }
        note();
        if (lost(t)) return finish(best, h);
      }
      for (int l = 0; l < W; l++) {
        if (over[l / L][l % L]) continue;
        const double mean = double(loss[l / L][l % L]) / run.valid;
        best[l] = std::max(best[l], run.rules.accuracy ? 1 - mean : 1 - 0.6366197723675814 * std::atan(std::sqrt(mean)));
      }
    }
    finish(best, h);
  }

  void finish(const double* best, uint64_t h) const {
    if (run.print) *run.print = h | 1;
    else std::copy_n(best, run.pack.count, run.fitness);
  }
};

template <typename T, int W> void run(const Run& job) {
  Machine<T, W> machine{job, job.tape.features, reinterpret_cast<T*>(job.memory), {}};
  for (int l = 0; l < W; l++)
    machine.seed[l] = fold(job.rules.key, job.pack.first + std::min(l, job.pack.count - 1));
  machine.task();
}

}  // namespace

extern const Kernel kernel;
const Kernel kernel = {AIGA_NAME,
                       {{run<double, 4>, run<double, 8>, run<double, 16>}, {run<float, 4>, run<float, 8>, run<float, 16>}}};

}  // namespace aiga::programs::AIGA_ISA
