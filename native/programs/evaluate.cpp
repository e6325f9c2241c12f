// Lays tasks beside each other in lanes, as wide as the first cache allows, and runs programs on them.
#include "programs.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace aiga::programs {
namespace {

constexpr size_t CACHE = 32 * 1024;  // bytes of the first data cache

template <typename T>
void copy(T* to, const double* from, int first, int count, int width, size_t numbers) {  // [tasks][numbers] to lanes
  for (int l = 0; l < width; l++) {
    const double* p = from + size_t(first + std::min(l, count - 1)) * numbers;
    for (size_t k = 0; k < numbers; k++) to[k * width + l] = T(p[k]);
  }
}

template <typename T> Pack pack(const Tasks& tasks, int first, int count, int width) {
  const size_t train = size_t(tasks.train), valid = size_t(tasks.valid), f = size_t(tasks.features);
  Pack p{nullptr, train * f * width, train * (f + 1) * width, (train * (f + 1) + valid * f) * width, first, count};
  auto numbers = aligned<T>((train + valid) * (f + 1) * width);
  copy(numbers.get(), tasks.train_x, first, count, width, train * f);
  copy(numbers.get() + p.train_y, tasks.train_y, first, count, width, train);
  copy(numbers.get() + p.valid_x, tasks.valid_x, first, count, width, valid * f);
  copy(numbers.get() + p.valid_y, tasks.valid_y, first, count, width, valid);
  p.numbers.reset(reinterpret_cast<char*>(numbers.release()));
  return p;
}

}  // namespace

Evaluator::Evaluator(const Kernel& kernel, const Tasks& tasks, const Rules& rules, int first, int lanes)
    : kernel(kernel), tasks(tasks), rules(rules), first(first), lanes(lanes) {}

const std::vector<Pack>& Evaluator::packs(int width) {
  std::vector<Pack>& all = packed[width];
  if (all.empty())
    for (int begin = 0, w = WIDTH[width]; begin < tasks.count;) {
      const int end = std::min(begin + w, begin < first ? first : tasks.count);
      all.push_back((rules.single ? pack<float> : pack<double>)(tasks, begin, end - begin, w));
      begin = end;
    }
  return all;
}

char* Evaluator::memory(size_t bytes) {
  if (bytes > room_bytes) room = aligned<char>(bytes), room_bytes = bytes;
  return room.get();
}

void Evaluator::run(const Tape& tape, int begin, int end, double* fitness) {
  const size_t number = rules.single ? 4 : 8;
  int width = 0;  // the least that holds all tasks at once, or the most that keeps memory in the cache
  while (width + 1 < WIDTHS && WIDTH[width] < end - begin && tape.groups * number * WIDTH[width + 1] <= CACHE) width++;
  if (lanes) width = int(std::find(WIDTH, WIDTH + WIDTHS, lanes) - WIDTH);
  char* room = memory(tape.groups * number * WIDTH[width]);
  for (const Pack& pack : packs(width)) {
    if (pack.first < begin || pack.first >= end) continue;
    kernel.run[rules.single][width]({tape, rules, pack, tasks.train, tasks.valid, room, fitness + pack.first - begin, nullptr});
    steps += int64_t(rules.epochs) * (tasks.train + tasks.valid) * pack.count;
  }
}

uint64_t Evaluator::print(const Tape& tape, int train, int valid) {
  const size_t number = rules.single ? 4 : 8;
  uint64_t print = 0;
  Rules once = rules;
  once.epochs = 1;
  kernel.run[rules.single][0]({tape, once, packs(0).front(), std::min(train, tasks.train), std::min(valid, tasks.valid),
                               memory(tape.groups * number * WIDTH[0]), nullptr, &print});
  return print;
}

double combine(const double* fitness, int count, bool median) {
  if (!median) {
    double sum = 0;
    for (int k = 0; k < count; k++) sum += fitness[k];
    return sum / count;
  }
  std::vector<double> sorted(fitness, fitness + count);
  std::sort(sorted.begin(), sorted.end());
  return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

}  // namespace aiga::programs
