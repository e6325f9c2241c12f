// From a program as it evolved to what is run: dead code removed, addresses renumbered, a hash of the result.
#include "programs.h"

#include <algorithm>
#include <cstring>

namespace aiga::programs {
namespace {

constexpr Kind N = NONE, S = SCALAR, V = VECTOR, M = MATRIX;
constexpr Operation unary(Kind a, Kind out, int weight = 1) { return {a, N, out, NOTHING, false, uint8_t(weight)}; }
constexpr Operation binary(Kind a, Kind b, Kind out, bool commutes = false, int weight = 1) {
  return {a, b, out, NOTHING, commutes, uint8_t(weight)};
}
constexpr Operation set(Kind out, Data data, int weight) { return {N, N, out, data, false, uint8_t(weight)}; }
constexpr int ROOT = 8, CURVE = 20, CHANCE = 10, NORMAL = 60;  // weights

}  // namespace

const std::array<Operation, OPERATIONS> operations = {{
    unary(N, N, 0),
    binary(S, S, S, true), binary(S, S, S), binary(S, S, S, true), binary(S, S, S, false, 4),        // + - * /
    unary(S, S), unary(S, S, 4),                                                                     // abs, 1/x
    unary(S, S, CURVE), unary(S, S, CURVE), unary(S, S, CURVE), unary(S, S, CURVE), unary(S, S, CURVE),
    unary(S, S, CURVE), unary(S, S, CURVE), unary(S, S, CURVE),                                      // sin ... log
    unary(S, S), unary(V, V), unary(M, M),                                                           // heaviside
    binary(S, V, V), unary(S, V), unary(V, V, 4), unary(V, S, 1), unary(V, V),                       // ... abs
    binary(V, V, V, true), binary(V, V, V), binary(V, V, V, true), binary(V, V, V, false, 4),
    binary(V, V, S, true), binary(V, V, M), binary(S, M, M), unary(M, M, 4), binary(M, V, V),        // ... M v
    unary(V, M), unary(V, M), unary(M, S), unary(M, V, ROOT), unary(M, V, ROOT), unary(M, M), unary(M, M),
    binary(M, M, M, true), binary(M, M, M), binary(M, M, M, true), binary(M, M, M, false, 4),
    binary(M, M, M),                                                                                 // matrix product
    binary(S, S, S), binary(V, V, V), binary(M, M, M), binary(S, S, S), binary(V, V, V), binary(M, M, M),
    unary(V, S), unary(M, S), unary(M, V), unary(M, V, ROOT), unary(V, S, 2), unary(M, S, 2),        // mean, deviation
    set(S, CONSTANT, 1), set(V, ELEMENT, 1), set(M, ENTRY, 1),
    set(S, UNIFORM, CHANCE), set(V, UNIFORM, CHANCE), set(M, UNIFORM, CHANCE),
    set(S, GAUSSIAN, NORMAL), set(V, GAUSSIAN, NORMAL), set(M, GAUSSIAN, NORMAL),
}};

namespace {

constexpr int SCALE = 18, ADD_VECTORS = 23, OUTER = 28, MATVEC = 31, TRANSPOSE = 37;
constexpr int ADD_MATRICES = 39, MATMUL = 43;

double cost(const Operation& o, int op, int f) {
  const double size[] = {0, 1, double(f), double(f) * f};
  double elements = std::max(size[o.out], std::max(size[o.a], size[o.b]));
  if (op == MATMUL) elements *= f;
  if (o.data == CONSTANT || o.data == ELEMENT || o.data == ENTRY) elements = 1;
  return PER_INSTRUCTION + o.weight * elements;
}

constexpr int FIRST_BIT[] = {0, 0, MOST_SCALARS, MOST_SCALARS + MOST_VECTORS};
constexpr uint64_t bit(Kind kind, int address) { return kind == NONE ? 0 : uint64_t(1) << (FIRST_BIT[kind] + address); }
constexpr bool whole(Data data) { return data != ELEMENT && data != ENTRY; }  // writes all of what it writes to

constexpr bool get(const uint64_t* bits, int k) { return bits[k / 64] >> (k % 64) & 1; }
constexpr void put(uint64_t* bits, int k) { bits[k / 64] |= uint64_t(1) << (k % 64); }

// Whether `i` makes a product that `next` adds in place, and that nobody reads after that.
bool fuses(const Instruction& i, const Instruction& next, uint64_t after_next) {
  const bool outer = i.op == OUTER && next.op == ADD_MATRICES, scaled = i.op == SCALE && next.op == ADD_VECTORS;
  if (!outer && !scaled) return false;
  const int other = next.a == i.out ? next.b : next.a;
  return (next.a == i.out || next.b == i.out) && other != i.out && next.out == other &&
         !(after_next & bit(operations[i.op].out, i.out));
}

// What must be in memory before `part`, when `after` must be there behind it. Says which instructions matter.
uint64_t before(const Program& program, Component c, uint64_t after, Tape& tape) {
  uint64_t *live = tape.live[c], *fused = tape.fused[c];
  std::memset(live, 0, sizeof tape.live[c]), std::memset(fused, 0, sizeof tape.fused[c]);
  const Instruction* next = nullptr;
  uint64_t after_next = 0;
  for (int k = program.length[c] - 1; k >= 0; k--) {
    const Instruction& i = program.part[c][k];
    const Operation& o = operations[i.op];
    const uint64_t out = bit(o.out, i.out);
    if (!(after & out)) continue;
    put(live, k);
    const bool fusing = next && fuses(i, *next, after_next);
    if (fusing) put(fused, k);
    next = fusing ? nullptr : &i, after_next = after;
    if (whole(o.data)) after &= ~out;
    after |= bit(o.a, i.a) | bit(o.b, i.b);
  }
  return after;
}

}  // namespace

void compile(const Program& program, const Sizes& sizes, Tape& tape) {
  // Predict is followed by the reading of s1, then by learn, or by predict on the next example; learn by predict.
  uint64_t predict = 0, learn = 0;
  for (uint64_t p = 1, l = 1; p != predict || l != learn;) {
    p = predict, l = learn;
    learn |= before(program, LEARN, predict, tape);
    predict |= before(program, PREDICT, bit(SCALAR, 1) | learn | predict, tape);
  }
  before(program, SETUP, predict, tape);

  // Memory begins with zeros everywhere, so addresses may trade names; those that mean something keep theirs.
  uint8_t name[4][32];
  std::memset(name, 0xff, sizeof name);
  int used[4] = {0, 2, 1, 0};
  name[SCALAR][0] = 0, name[SCALAR][1] = 1, name[VECTOR][0] = 0;
  const auto rename = [&](Kind kind, int address) -> uint32_t {
    if (kind == NONE) return 0;
    uint8_t& n = name[kind][address];
    if (n == 0xff) n = uint8_t(used[kind]++);
    return n;
  };
  uint64_t h = 0;
  const auto absorb = [&h](uint64_t word) { h = (h ^ word) * 0xd6e8feb86659fd93u, h ^= h >> 32; };
  bool needs_scratch = false;
  tape.features = sizes.features, tape.setup_cost = tape.step_cost = 0;
  for (int c = 0; c < COMPONENTS; c++) {
    std::vector<Step>& steps = tape.part[c];
    steps.clear();
    for (int k = 0; k < program.length[c]; k++) {
      if (!get(tape.live[c], k)) continue;
      const Instruction& i = program.part[c][k];
      const Operation& o = operations[i.op];
      double& total = c == SETUP ? tape.setup_cost : tape.step_cost;
      total += cost(o, i.op, sizes.features);
      uint8_t op = i.op, out = i.out;
      if (get(tape.fused[c], k)) {
        while (!get(tape.live[c], ++k)) {}
        const Instruction& sum = program.part[c][k];
        total += cost(operations[sum.op], sum.op, sizes.features);
        op = op == OUTER ? ADD_OUTER : ADD_SCALED, out = sum.out;
      }
      Step s{op, rename(o.a, i.a), rename(o.b, i.b), rename(o.out, out), 0, {0, 0, 0}};
      if (o.commutes && s.a > s.b) std::swap(s.a, s.b);
      if (o.data == UNIFORM || o.data == GAUSSIAN) s.id = uint32_t(c << 16 | k);
      if (o.data != NOTHING) std::memcpy(s.data, i.data, sizeof s.data);
      for (int place = 1; place <= 2; place++)  // shares of F become indices
        if (place == 1 ? o.data == ELEMENT || o.data == ENTRY : o.data == ENTRY)
          s.data[place] = std::min(int(i.data[place] * sizes.features), sizes.features - 1);
      if (o.data == CONSTANT) s.data[1] = 0;
      if (o.data != ENTRY) s.data[2] = 0;
      needs_scratch |= (op == TRANSPOSE && s.out == s.a) || (op == MATVEC && s.out == s.b) ||
                       (op == MATMUL && (s.out == s.a || s.out == s.b));
      absorb(uint64_t(s.op) | uint64_t(s.a) << 8 | uint64_t(s.b) << 16 | uint64_t(s.out) << 24 | uint64_t(s.id + 1) << 32);
      if (o.data != NOTHING)
        for (double d : s.data) { uint64_t word; std::memcpy(&word, &d, 8), absorb(word); }
      steps.push_back(s);
    }
    absorb(~uint64_t(0));
  }
  tape.hash = mix(h) | 1;  // never 0, which says that a place in a cache is free

  const uint32_t f = uint32_t(sizes.features);
  const uint32_t first[4] = {0, 0, uint32_t(used[SCALAR]), uint32_t(used[SCALAR]) + used[VECTOR] * f};
  const uint32_t size[4] = {0, 1, f, f * f};
  for (std::vector<Step>& steps : tape.part)
    for (Step& s : steps) {
      const Operation& o = operations[s.op == ADD_SCALED ? SCALE : s.op == ADD_OUTER ? OUTER : s.op];
      s.a = first[o.a] + s.a * size[o.a], s.b = first[o.b] + s.b * size[o.b];
      s.out = first[o.out] + s.out * size[o.out];
    }
  tape.first_vector = first[VECTOR];
  tape.scratch = first[MATRIX] + used[MATRIX] * f * f;
  tape.groups = tape.scratch + (needs_scratch ? f * f : 0);
}

}  // namespace aiga::programs
