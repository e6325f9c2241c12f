// An LSTM in vectors of W hidden units: a few rows at a time go through all steps, so that what they carry and the
// weights stay in the nearest cache.
#include "../common/simd.h"
#include "lstm.h"

#include <algorithm>
#include <vector>

namespace aiga::lstm::AIGA_ISA {
namespace {

using namespace aiga::AIGA_ISA;

// Rows whose sums fit into the registers beside a vector of each gate.
#if defined(__AVX512F__) || defined(__ARM_NEON)
constexpr int ROWS = 4;
#else
constexpr int ROWS = 2;
#endif
constexpr int GATES = 4;

AIGA_INLINE F sigmoid(F x) { return 0.5f + 0.5f * tanh(0.5f * x); }

// sum[r][c] += the sum over k of x[r][k] weights[k][c], the rows of x `stride` apart.
template <int R, int C>
AIGA_INLINE void add_product(F (&sum)[R][C], const float* x, int64_t stride, const F* weights, int64_t count) {
  for (int64_t k = 0; k < count; k++)
    for (int r = 0; r < R; r++) {
      const F one = x[r * stride + k];
      for (int c = 0; c < C; c++) sum[r][c] = fused(one, weights[k * C + c], sum[r][c]);
    }
}

struct Layout {
  int64_t units, blocks;  // units, and vectors of them
  explicit Layout(int64_t units) : units(units), blocks((units + W - 1) / W) {}
  int64_t left(int64_t block) const { return std::min<int64_t>(W, units - block * W); }
};

// R rows from `row` on, through all steps.
template <int R>
void forward_rows(const Sizes& s, const Layout& layout, const Forward& f, const F* weights, const F* bias,
                  float* seen, int64_t row) {
  const int64_t H = s.units, width = s.inputs + H;
  for (int64_t step = 0; step < s.steps; step++) {
    const int64_t first = step * s.rows + row;
    const float* output = step ? f.outputs + (first - s.rows) * H : f.output + row * H;
    const float* cell = step ? f.cells + (first - s.rows) * H : f.cell + row * H;
    for (int r = 0; r < R; r++) {
      float* to = seen + r * width;
      std::copy_n(f.signals + (first + r) * s.inputs, s.inputs, to);
      if (f.begun && f.begun[first + r]) std::fill_n(to + s.inputs, H, 0.0f);
      else std::copy_n(output + r * H, H, to + s.inputs);
    }
    for (int64_t block = 0; block < layout.blocks; block++) {
      const int64_t at = block * W, left = layout.left(block);
      F sum[R][GATES];
      for (int r = 0; r < R; r++)
        for (int g = 0; g < GATES; g++) sum[r][g] = bias[block * GATES + g];
      add_product(sum, seen, width, weights + block * width * GATES, width);
      for (int r = 0; r < R; r++) {
        const int64_t here = first + r;
        const F before = f.begun && f.begun[here] ? F(0.0f) : load_part(cell + r * H + at, left);
        const F gate[GATES] = {sigmoid(sum[r][0]), sigmoid(sum[r][1]), tanh(sum[r][2]), sigmoid(sum[r][3])};
        const F after = fused(gate[1], before, gate[0] * gate[2]);
        store_part(f.cells + here * H + at, after, left);
        store_part(f.outputs + here * H + at, gate[3] * tanh(after), left);
        for (int g = 0; f.gates && g < GATES; g++) store_part(f.gates + (here * GATES + g) * H + at, gate[g], left);
      }
    }
  }
}

// What C vectors of units from `block` on are told by the gates' slopes: of_gates times the matrix turned.
template <int R, int C>
AIGA_INLINE void tell(const Layout& layout, const float* of_gates, const F* turned, F* of_output, int64_t block) {
  const int64_t count = GATES * layout.units;
  F sum[R][C];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) sum[r][c] = 0.0f;
  add_product(sum, of_gates, count, turned + block * count, count);
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) of_output[r * layout.blocks + block + c] = sum[r][c];
}

template <int R>
void backward_rows(const Sizes& s, const Layout& layout, const Backward& b, const F* turned, F* of_output,
                   F* of_cell, int64_t row) {
  const int64_t H = s.units, blocks = layout.blocks;
  for (int64_t k = 0; k < R * blocks; k++) of_output[k] = of_cell[k] = 0.0f;
  for (int64_t step = s.steps; step-- > 0;) {
    const int64_t first = step * s.rows + row;
    for (int r = 0; r < R; r++) {
      const int64_t here = first + r;
      for (int64_t block = 0; block < blocks; block++) {
        const int64_t at = block * W, left = layout.left(block);
        const F before = load_part(b.before + here * H + at, left);
        F gate[GATES];
        for (int g = 0; g < GATES; g++) gate[g] = load_part(b.gates + (here * GATES + g) * H + at, left);
        const F shown = tanh(load_part(b.cells + here * H + at, left));
        const F told = of_output[r * blocks + block] + load_part(b.slopes + here * H + at, left);
        const F kept = fused(told * gate[3], 1.0f - shown * shown, of_cell[r * blocks + block]);
        const F of_gate[GATES] = {
            kept * gate[2] * gate[0] * (1.0f - gate[0]), kept * before * gate[1] * (1.0f - gate[1]),
            kept * gate[0] * (1.0f - gate[2] * gate[2]), told * shown * gate[3] * (1.0f - gate[3])};
        for (int g = 0; g < GATES; g++) store_part(b.of_gates + (here * GATES + g) * H + at, of_gate[g], left);
        of_cell[r * blocks + block] = kept * gate[1];
      }
    }
    const float* of_gates = b.of_gates + first * GATES * H;
    int64_t block = 0;
    for (; block + 4 <= blocks; block += 4) tell<R, 4>(layout, of_gates, turned, of_output, block);
    if (blocks - block == 3) tell<R, 3>(layout, of_gates, turned, of_output, block);
    if (blocks - block == 2) tell<R, 2>(layout, of_gates, turned, of_output, block);
    if (blocks - block == 1) tell<R, 1>(layout, of_gates, turned, of_output, block);
    for (int r = 0; r < R; r++)
      if (b.begun[first + r])
        for (int64_t k = r * blocks; k < (r + 1) * blocks; k++) of_output[k] = of_cell[k] = 0.0f;
  }
  for (int r = 0; r < R; r++)
    for (int64_t block = 0; block < blocks; block++) {
      const int64_t to = (row + r) * H + block * W, left = layout.left(block);
      store_part(b.of_output + to, of_output[r * blocks + block], left);
      store_part(b.of_cell + to, of_cell[r * blocks + block], left);
    }
}

void forward(const Sizes& s, const Forward& f) {
  const Layout layout(s.units);
  const int64_t H = s.units, width = s.inputs + H;
  // By blocks of units, in each by inputs, the four gates beside each other.
  static thread_local std::vector<F> weights, bias;
  static thread_local std::vector<float> seen;
  weights.resize(size_t(layout.blocks * width * GATES)), bias.resize(size_t(layout.blocks * GATES));
  seen.resize(size_t(ROWS * width));
  for (int64_t block = 0; block < layout.blocks; block++) {
    const int64_t at = block * W, left = layout.left(block);
    for (int g = 0; g < GATES; g++) {
      bias[size_t(block * GATES + g)] = load_part(f.bias + g * H + at, left);
      for (int64_t k = 0; k < width; k++)
        weights[size_t((block * width + k) * GATES + g)] = load_part(f.matrix + (k * GATES + g) * H + at, left);
    }
  }
  int64_t row = 0;
  for (; row + ROWS <= s.rows; row += ROWS)
    forward_rows<ROWS>(s, layout, f, weights.data(), bias.data(), seen.data(), row);
  for (; row < s.rows; row++)
    forward_rows<1>(s, layout, f, weights.data(), bias.data(), seen.data(), row);
}

void backward(const Sizes& s, const Backward& b) {
  const Layout layout(s.units);
  const int64_t H = s.units, count = GATES * H;
  // By groups of up to four blocks of units, as they are asked for, in each by gates.
  static thread_local std::vector<F> turned, of_output, of_cell;
  turned.assign(size_t(layout.blocks * count), F(0.0f));
  of_output.resize(size_t(ROWS * layout.blocks)), of_cell.resize(size_t(ROWS * layout.blocks));
  float* to = reinterpret_cast<float*>(turned.data());
  for (int64_t unit = 0; unit < H; unit++) {
    const int64_t block = unit / W, group = block / 4 * 4, wide = std::min<int64_t>(4, layout.blocks - group);
    for (int64_t k = 0; k < count; k++)
      to[(group * count + k * wide + block - group) * W + unit % W] = b.turned[unit * count + k];
  }
  int64_t row = 0;
  for (; row + ROWS <= s.rows; row += ROWS)
    backward_rows<ROWS>(s, layout, b, turned.data(), of_output.data(), of_cell.data(), row);
  for (; row < s.rows; row++)
    backward_rows<1>(s, layout, b, turned.data(), of_output.data(), of_cell.data(), row);
}

}  // namespace

extern const Kernel kernel;
const Kernel kernel = {AIGA_NAME, forward, backward};

}  // namespace aiga::lstm::AIGA_ISA
