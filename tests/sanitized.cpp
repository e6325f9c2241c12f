// Random and hostile programs through every interpreter and the search, to be built with AddressSanitizer and UBSan:
// their complaint is the test. Says how much it did, so that doing nothing is seen.
#include "../native/programs/search.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

using namespace aiga::programs;

namespace aiga::programs::AIGA_ISA { extern const Kernel kernel; }

namespace {

uint64_t state = 1;
int below(int n) { return int((mix(state += GOLDEN) >> 32) * uint64_t(n) >> 32); }

double number() {
  static const double odd[] = {0, -0.0, 1, -1, 1e308, -1e308, 1e-310, 1e22, std::numeric_limits<double>::infinity(),
                               -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()};
  return below(4) ? below(2001) / 1000.0 - 1 : odd[below(11)];
}

int count(const Sizes& s, Kind kind) { return kind == SCALAR ? s.scalars : kind == VECTOR ? s.vectors : s.matrices; }

Instruction instruction(const Sizes& sizes) {
  for (;;) {
    const uint8_t op = uint8_t(below(OPERATIONS));
    const Operation& o = operations[op];
    bool possible = true;
    for (Kind kind : {o.a, o.b, o.out}) possible &= kind == NONE || count(sizes, kind) > (kind != MATRIX);
    if (!possible) continue;
    const auto in = [&](Kind kind) { return uint8_t(kind == NONE ? below(256) : below(count(sizes, kind))); };
    const auto out = [&](Kind kind) {
      const int kept = kind != MATRIX;
      return uint8_t(kind == NONE ? below(256) : kept + below(count(sizes, kind) - kept));
    };
    Instruction i{op, in(o.a), in(o.b), out(o.out), {number(), number(), number()}};
    if (o.data == ELEMENT || o.data == ENTRY) i.data[1] = below(11) / 10.0, i.data[2] = below(11) / 10.0;
    return i;
  }
}

}  // namespace

int main() {
  const Kernel& kernel = aiga::programs::AIGA_ISA::kernel;
  int64_t ran = 0, bred = 0;
  double kept = 0;
  for (int round = 0; round < 400; round++) {
    const Sizes sizes{2 + below(MOST_SCALARS - 1), 1 + below(MOST_VECTORS), below(MOST_MATRICES + 1),
                      round % 8 ? 1 + below(6) : 1 + below(MOST_FEATURES)};
    const int n = 1 + below(20), train = 1 + below(3), valid = 1 + below(3), f = sizes.features;
    std::vector<double> train_x(n * train * f), train_y(n * train), valid_x(n * valid * f), valid_y(n * valid);
    for (auto* numbers : {&train_x, &train_y, &valid_x, &valid_y})
      for (double& x : *numbers) x = number();
    const Tasks tasks{train_x.data(), train_y.data(), valid_x.data(), valid_y.data(), n, train, valid, f};
    const Rules rules{1 + below(2), below(2) == 1, below(2) == 1, below(2) ? 100 : INFINITY, uint64_t(round)};
    std::vector<Instruction> code[COMPONENTS];
    std::vector<double> fitness(n);
    Tape tape;
    for (int lanes : {0, 4, 8, 16}) {
      Evaluator evaluator(kernel, tasks, rules, below(n), lanes);
      for (int k = 0; k < 6; k++) {
        Program program;
        for (int c = 0; c < COMPONENTS; c++) {
          code[c].clear();
          for (int left = below(k ? 12 : MOST_INSTRUCTIONS + 1); left > 0; left--) code[c].push_back(instruction(sizes));
          program.part[c] = code[c].data(), program.length[c] = int(code[c].size());
        }
        compile(program, sizes, tape);
        evaluator.run(tape, 0, n, fitness.data());
        kept += combine(fitness.data(), n, true) + double(evaluator.print(tape, 2, 2) >> 63);
        ran++;
      }
    }
    if (round % 10) continue;
    Settings s{sizes, 1 + below(30), 1 + below(5), 0.9, {1, 2, 3, 3, 1, 1, 3}, {}, {}, {}, {}, 2, 2, 3, n > 1 ? 1 : 0, 7, 0, true};
    for (int c = 0; c < COMPONENTS; c++) {
      s.most[c] = below(9), s.begin[c] = below(s.most[c] + 1);
      for (int k = 0; k < 20; k++) s.allowed[c].push_back(instruction(sizes).op);
    }
    State island;
    island.population.resize(s.population), island.values.resize(s.population), island.ancestors.assign(s.population, -1);
    for (Individual& one : island.population) one.code.resize(s.room());
    for (Cache* cache : {&island.canonical, &island.prints})
      cache->keys.resize(8), cache->values.resize(8), cache->hits.resize(8);
    Evaluator evaluator(kernel, tasks, rules, s.hurdle_tasks, 0);
    std::vector<Improvement> improvements;
    evolve(s, island, evaluator, tasks, rules, 200, improvements);
    bred += island.born;
  }
  std::printf("%s: %lld programs ran, %lld were bred, %g\n", kernel.name, (long long)ran, (long long)bred, kept);
}
