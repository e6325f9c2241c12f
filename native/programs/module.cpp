// The Python module aiga._programs: checks what comes in, picks the instruction set, spreads work over threads.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

#include "../common/dispatch.h"
#include "search.h"

namespace aiga::programs { AIGA_KERNELS }

namespace nb = nanobind;
using namespace aiga::programs;

namespace {

template <typename T, typename Shape>
using In = nb::ndarray<const T, nb::numpy, Shape, nb::c_contig, nb::device::cpu>;
template <typename T>
using Out = nb::ndarray<nb::numpy, T>;
using Code = In<uint8_t, nb::shape<-1, -1, 4>>;     // op, in1, in2, out
using Numbers = In<double, nb::shape<-1, -1, 3>>;
using Lengths = In<int32_t, nb::shape<-1, 3>>;

void expect(bool fits, const std::string& what) {
  if (!fits) throw std::invalid_argument(what);
}

std::string among(int low, int high, const std::string& not_) {
  return "from " + std::to_string(low) + " to " + std::to_string(high) + ", not " + not_;
}

int within(int64_t value, int low, int high, const char* name) {
  expect(value >= low && value <= high, std::string(name) + ": " + among(low, high, std::to_string(value)));
  return int(value);
}

Sizes sizes_of(const std::vector<int>& s) {
  expect(s.size() == 4, "sizes: scalars, vectors, matrices and features");
  return {within(s[0], 2, MOST_SCALARS, "scalars"), within(s[1], 1, MOST_VECTORS, "vectors"),
          within(s[2], 0, MOST_MATRICES, "matrices"), within(s[3], 1, MOST_FEATURES, "features")};
}

int addresses(const Sizes& s, Kind kind) {
  return kind == SCALAR ? s.scalars : kind == VECTOR ? s.vectors : kind == MATRIX ? s.matrices : 1;
}

const char* const PART[COMPONENTS] = {"setup", "predict", "learn"};

// One instruction from outside; `where` is what to call it if it does not fit.
Instruction checked(const uint8_t* code, const double* data, const Sizes& sizes, const std::string& where) {
  expect(code[0] < OPERATIONS, where + ": operation " + among(0, OPERATIONS - 1, std::to_string(code[0])));
  const Operation& o = operations[code[0]];
  const Kind kinds[] = {o.a, o.b, o.out};
  const char* const names[] = {"in1", "in2", "out"};
  for (int k = 0; k < 3; k++) {
    if (kinds[k] == NONE) continue;
    const int low = k == 2 && kinds[k] != MATRIX, high = addresses(sizes, kinds[k]) - 1;
    expect(high >= low, where + ": " + names[k] + ": there is no such memory");
    expect(code[k + 1] >= low && code[k + 1] <= high,
           where + ": " + names[k] + " " + among(low, high, std::to_string(code[k + 1])));
  }
  Instruction i{code[0], code[1], code[2], code[3], {data[0], data[1], data[2]}};
  const int places = o.data == ELEMENT ? 1 : o.data == ENTRY ? 2 : 0;
  for (int k = 1; k <= places; k++)
    expect(i.data[k] >= 0 && i.data[k] <= 1, where + ": data: a place from 0 to 1");
  return i;
}

// Row p of arrays of programs; a component's instructions go to `at`, or follow those before it.
Program read(const Code& code, const Numbers& data, const Lengths& lengths, size_t p, const Sizes& sizes,
             Instruction* to, const int* at) {
  Program program;
  const int64_t room = int64_t(code.shape(1));
  int64_t from = 0;
  for (int c = 0; c < COMPONENTS; c++) {
    const int length = within(lengths(p, c), 0, int(std::min<int64_t>(room - from, MOST_INSTRUCTIONS)), "lengths");
    if (at) expect(length <= at[c + 1] - at[c], "lengths: at most those of `most`");
    Instruction* part = to + (at ? at[c] : from);
    for (int k = 0; k < length; k++)
      part[k] = checked(&code(p, from + k, 0), &data(p, from + k, 0), sizes,
                        std::string(PART[c]) + " " + std::to_string(k));
    program.part[c] = part, program.length[c] = length;
    from += length;
  }
  return program;
}

void same_count(const Code& code, const Numbers& data, const Lengths& lengths) {
  expect(data.shape(0) == code.shape(0) && data.shape(1) == code.shape(1), "data: as many rows as code");
  expect(lengths.shape(0) == code.shape(0), "lengths: as many rows as code");
  expect(code.shape(1) <= size_t(COMPONENTS * MOST_INSTRUCTIONS), "code: at most 765 instructions");
}

Tasks tasks_of(const In<double, nb::shape<-1, -1, -1>>& train_x, const In<double, nb::shape<-1, -1>>& train_y,
               const In<double, nb::shape<-1, -1, -1>>& valid_x, const In<double, nb::shape<-1, -1>>& valid_y,
               const Sizes& sizes) {
  const size_t n = train_x.shape(0);
  expect(n >= 1 && n <= 100000, "train_x: from 1 to 100000 tasks");
  expect(train_x.shape(1) >= 1, "train_x: at least one example");
  expect(valid_x.shape(1) >= 1, "valid_x: at least one example");
  expect(train_x.size() + valid_x.size() <= size_t(1) << 30, "train_x: fewer examples");
  expect(train_x.shape(2) == size_t(sizes.features), "train_x: as many features as sizes say");
  expect(valid_x.shape(2) == size_t(sizes.features), "valid_x: as many features as sizes say");
  expect(train_y.shape(0) == n && train_y.shape(1) == train_x.shape(1), "train_y: one for each example");
  expect(valid_x.shape(0) == n, "valid_x: as many tasks as train_x");
  expect(valid_y.shape(0) == n && valid_y.shape(1) == valid_x.shape(1), "valid_y: one for each example");
  return {train_x.data(), train_y.data(), valid_x.data(), valid_y.data(),
          int(n), int(train_x.shape(1)), int(valid_x.shape(1)), sizes.features};
}

Rules rules_of(int epochs, bool accuracy, bool single, double limit, uint64_t key) {
  within(epochs, 1, 1000000, "epochs");
  expect(limit > 0, "limit: above 0");
  return {epochs, accuracy, single, limit, key};
}

template <typename T> Out<T> owned(std::unique_ptr<T[]> data, std::initializer_list<size_t> shape) {
  T* raw = data.release();
  return Out<T>(raw, shape, nb::capsule(raw, [](void* p) noexcept { delete[] static_cast<T*>(p); }));
}

nb::tuple compiled(Code code, Numbers data, Lengths lengths, const std::vector<int>& sizes_) {
  const Sizes sizes = sizes_of(sizes_);
  same_count(code, data, lengths);
  const size_t count = code.shape(0), room = code.shape(1);
  auto hash = std::make_unique<uint64_t[]>(count);
  auto cost = std::make_unique<double[]>(count * 2);
  auto live = std::make_unique<bool[]>(count * room);
  std::vector<Instruction> instructions(room);
  Tape tape;
  for (size_t p = 0; p < count; p++) {
    const Program program = read(code, data, lengths, p, sizes, instructions.data(), nullptr);
    compile(program, sizes, tape);
    hash[p] = tape.hash, cost[p * 2] = tape.setup_cost, cost[p * 2 + 1] = tape.step_cost;
    size_t at = p * room;
    for (int c = 0; c < COMPONENTS; c++)
      for (int k = 0; k < program.length[c]; k++) live[at++] = tape.live[c][k / 64] >> (k % 64) & 1;
  }
  return nb::make_tuple(owned(std::move(hash), {count}), owned(std::move(cost), {count, 2}),
                        owned(std::move(live), {count, room}));
}

Out<double> evaluate(Code code, Numbers data, Lengths lengths, const std::vector<int>& sizes_,
                     In<double, nb::shape<-1, -1, -1>> train_x, In<double, nb::shape<-1, -1>> train_y,
                     In<double, nb::shape<-1, -1, -1>> valid_x, In<double, nb::shape<-1, -1>> valid_y, int epochs,
                     bool accuracy, bool single, double limit, uint64_t key, int lanes, int threads,
                     const std::string& instruction_set) {
  const Kernel& kernel = choose(instruction_set);
  const Sizes sizes = sizes_of(sizes_);
  const Tasks tasks = tasks_of(train_x, train_y, valid_x, valid_y, sizes);
  const Rules rules = rules_of(epochs, accuracy, single, limit, key);
  same_count(code, data, lengths);
  expect(!lanes || std::count(WIDTH, WIDTH + WIDTHS, lanes), "lanes: 0, 4, 8 or 16, not " + std::to_string(lanes));
  within(threads, 1, 4096, "threads");
  const size_t count = code.shape(0), room = code.shape(1), n = size_t(tasks.count);
  std::vector<Instruction> instructions(count * room);
  std::vector<Program> programs(count);
  for (size_t p = 0; p < count; p++)
    programs[p] = read(code, data, lengths, p, sizes, instructions.data() + p * room, nullptr);
  auto fitness = std::make_unique<double[]>(count * n);
  {
    nb::gil_scoped_release release;
    std::atomic<size_t> next{0};
    const auto work = [&] {
      Evaluator evaluator(kernel, tasks, rules, 0, lanes);
      Tape tape;
      for (size_t p; (p = next++) < count;) {
        compile(programs[p], sizes, tape);
        evaluator.run(tape, 0, tasks.count, fitness.get() + p * n);
      }
    };
    std::vector<std::thread> others;
    for (int k = 1; k < std::min<int64_t>(threads, int64_t(count)); k++) others.emplace_back(work);
    work();
    for (auto& t : others) t.join();
  }
  return owned(std::move(fitness), {count, n});
}

// ---- The search. Its state comes and goes as arrays.

template <typename T> T field(const nb::dict& given, const char* name) {
  T value;
  expect(given.contains(name) && nb::try_cast<T>(given[name], value), std::string(name) + ": numbers in range");
  return value;
}

void triple(int (&to)[COMPONENTS], const std::vector<int>& from, const char* name) {
  expect(from.size() == COMPONENTS, std::string(name) + ": one for each of setup, predict, learn");
  std::copy(from.begin(), from.end(), to);
}

void check(Settings& s) {
  within(s.population, 1, 10000000, "population");
  within(s.tournament, 1, 1000000, "tournament");
  expect(s.mutate >= 0 && s.mutate <= 1, "mutate: from 0 to 1");
  double sum = 0;
  for (double w : s.mutations) expect(w >= 0 && w <= 1e9, "mutations: weights from 0"), sum += w;
  expect(sum > 0, "mutations: at least one above 0");
  int open = 0;
  for (int c = 0; c < COMPONENTS; c++) {
    within(s.most[c], 0, MOST_INSTRUCTIONS, "most");
    within(s.least[c], 0, s.most[c], "least");
    within(s.begin[c], s.least[c], s.most[c], "begin");
    const std::string name = std::string(PART[c]) + "_ops";
    for (uint8_t op : s.allowed[c]) {
      expect(op < OPERATIONS, name + ": " + among(0, OPERATIONS - 1, std::to_string(op)));
      const Operation& o = operations[op];
      for (Kind kind : {o.a, o.b}) expect(addresses(s.sizes, kind) > 0, name + ": " + std::to_string(op) + " reads a matrix and there is none");
      expect(o.out == NONE || addresses(s.sizes, o.out) > (o.out != MATRIX),
             name + ": nothing that " + std::to_string(op) + " may write");
    }
    expect(!s.begin[c] || !s.allowed[c].empty(), name + ": at least one, as programs begin with some");
    open += !s.allowed[c].empty();
  }
  expect(open > 0, "predict_ops: at least one");
  within(s.print_train, 0, 100000, "print_train");
  within(s.print_valid, 0, 100000, "print_valid");
  within(s.forget, 0, 1000000000, "forget");
  within(s.hurdle_every, 1, 1000000000, "hurdle_every");
  expect(s.budget >= 0, "budget: at least 0");
}

struct Rows {  // programs on their way out
  std::unique_ptr<uint8_t[]> code;
  std::unique_ptr<double[]> data;
  std::unique_ptr<int32_t[]> lengths;
  size_t room;

  Rows(size_t count, size_t room)
      : code(new uint8_t[count * room * 4]()), data(new double[count * room * 3]()), lengths(new int32_t[count * 3]()), room(room) {}

  void write(size_t p, const Individual& one, const int* at) {
    if (one.code.empty()) return;
    size_t to = p * room;
    for (int c = 0; c < COMPONENTS; c++) {
      lengths[p * 3 + c] = one.length[c];
      for (int k = 0; k < one.length[c]; k++, to++) {
        const Instruction& i = one.code[at[c] + k];
        const uint8_t words[] = {i.op, i.a, i.b, i.out};
        std::memcpy(&code[to * 4], words, 4), std::memcpy(&data[to * 3], i.data, 24);
      }
    }
  }
};

Cache cache_of(const In<uint64_t, nb::shape<-1>>& keys, const In<double, nb::shape<-1, 2>>& values,
               const In<int32_t, nb::shape<-1>>& hits, const char* name) {
  const size_t n = keys.shape(0);
  expect(n % Cache::WAYS == 0 && values.shape(0) == n && hits.shape(0) == n,
         std::string(name) + ": a multiple of 4, and one value and count for each key");
  Cache cache;
  cache.keys.assign(keys.data(), keys.data() + n), cache.hits.assign(hits.data(), hits.data() + n);
  for (size_t k = 0; k < n; k++) cache.values.push_back({values(k, 0), values(k, 1)});
  return cache;
}

template <typename T> Out<T> moved(const std::vector<T>& from) {
  auto data = std::make_unique<T[]>(from.size());
  std::copy(from.begin(), from.end(), data.get());
  return owned(std::move(data), {from.size()});
}

Out<double> moved(const std::vector<Value>& from) {
  auto data = std::make_unique<double[]>(from.size() * 2);
  for (size_t k = 0; k < from.size(); k++) data[k * 2] = from[k].fitness, data[k * 2 + 1] = from[k].partial;
  return owned(std::move(data), {from.size(), 2});
}

nb::tuple evolved(nb::dict given, Code code, Numbers data, Lengths lengths, In<double, nb::shape<-1, 2>> values,
                  In<int64_t, nb::shape<-1>> ancestors, int64_t island, int64_t islands, uint64_t random,
                  int64_t born, double hurdle, double best_fitness, In<int64_t, nb::shape<COUNTS>> counts,
                  In<uint64_t, nb::shape<-1>> canonical_keys,
                  In<double, nb::shape<-1, 2>> canonical_values, In<int32_t, nb::shape<-1>> canonical_hits,
                  In<uint64_t, nb::shape<-1>> print_keys, In<double, nb::shape<-1, 2>> print_values,
                  In<int32_t, nb::shape<-1>> print_hits, In<double, nb::shape<-1, -1, -1>> train_x,
                  In<double, nb::shape<-1, -1>> train_y, In<double, nb::shape<-1, -1, -1>> valid_x,
                  In<double, nb::shape<-1, -1>> valid_y, int epochs, bool accuracy, bool single, double limit,
                  uint64_t key, int64_t individuals, const std::string& instruction_set) {
  Settings s{};
  s.sizes = sizes_of(field<std::vector<int>>(given, "sizes"));
  s.population = field<int>(given, "population"), s.tournament = field<int>(given, "tournament");
  s.mutate = field<double>(given, "mutate");
  const auto weights = field<std::vector<double>>(given, "mutations");
  expect(weights.size() == MUTATIONS, "mutations: seven weights");
  std::copy(weights.begin(), weights.end(), s.mutations);
  triple(s.begin, field<std::vector<int>>(given, "begin"), "begin");
  triple(s.least, field<std::vector<int>>(given, "least"), "least");
  triple(s.most, field<std::vector<int>>(given, "most"), "most");
  const char* const names[COMPONENTS] = {"setup_ops", "predict_ops", "learn_ops"};
  for (int c = 0; c < COMPONENTS; c++) s.allowed[c] = field<std::vector<uint8_t>>(given, names[c]);
  s.print_train = field<int>(given, "print_train"), s.print_valid = field<int>(given, "print_valid");
  s.forget = field<int>(given, "forget"), s.hurdle_tasks = field<int>(given, "hurdle_tasks");
  s.hurdle_every = field<int>(given, "hurdle_every"), s.budget = field<double>(given, "budget");
  s.median = field<bool>(given, "median");
  check(s);
  const Kernel& kernel = choose(instruction_set);
  const Tasks tasks = tasks_of(train_x, train_y, valid_x, valid_y, s.sizes);
  const Rules rules = rules_of(epochs, accuracy, single, limit, key);
  within(s.hurdle_tasks, 0, tasks.count - 1, "hurdle_tasks");
  expect(individuals >= 0, "individuals: at least 0");
  expect(born >= 0 && born < int64_t(1) << 40, "born: from 0 to 2^40 - 1");
  within(islands, 1, 1000000, "islands"), within(island, 0, int(islands) - 1, "island");
  same_count(code, data, lengths);
  const size_t size = size_t(s.population), room = size_t(s.room());
  expect(code.shape(0) == size && values.shape(0) == size && ancestors.shape(0) == size,
         "code: as many rows as the population");
  expect(code.shape(1) == room, "code: as many instructions as the three of `most`");

  const int at[] = {0, s.most[SETUP], s.most[SETUP] + s.most[PREDICT], s.room()};
  State state;
  state.random = random, state.born = born, state.hurdle = hurdle, state.best_fitness = best_fitness;
  state.population.resize(size), state.values.resize(size);
  for (size_t p = 0; p < size; p++) {
    Individual& one = state.population[p];
    one.code.resize(room);
    read(code, data, lengths, p, s.sizes, one.code.data(), at);
    for (int c = 0; c < COMPONENTS; c++) one.length[c] = lengths(p, c);
    state.values[p] = {values(p, 0), values(p, 1)};
  }
  state.ancestors.assign(ancestors.data(), ancestors.data() + size);
  state.island = island, state.islands = islands;
  std::copy_n(counts.data(), COUNTS, state.counts);
  state.canonical = cache_of(canonical_keys, canonical_values, canonical_hits, "canonical");
  state.prints = cache_of(print_keys, print_values, print_hits, "prints");
  std::vector<Improvement> improvements;
  {
    nb::gil_scoped_release release;
    Evaluator evaluator(kernel, tasks, rules, s.hurdle_tasks, 0);
    evolve(s, state, evaluator, tasks, rules, individuals, improvements);
  }
  Rows rows(size, room), better(improvements.size() * 2, room);
  for (size_t p = 0; p < size; p++) rows.write(p, state.population[p], at);
  auto born_at = std::make_unique<int64_t[]>(improvements.size() * 3);
  auto scores = std::make_unique<double[]>(improvements.size() * 2);
  for (size_t k = 0; k < improvements.size(); k++) {
    const Improvement& i = improvements[k];
    better.write(k * 2, i.child, at), better.write(k * 2 + 1, i.parent_program, at);
    born_at[k * 3] = i.id, born_at[k * 3 + 1] = i.parent, born_at[k * 3 + 2] = i.ancestor;
    scores[k * 2] = i.fitness, scores[k * 2 + 1] = i.parent_fitness;
  }
  auto totals = std::make_unique<int64_t[]>(COUNTS);
  std::copy_n(state.counts, COUNTS, totals.get());
  const size_t k = improvements.size();
  return nb::make_tuple(
      nb::make_tuple(owned(std::move(rows.code), {size, room, 4}), owned(std::move(rows.data), {size, room, 3}),
                     owned(std::move(rows.lengths), {size, 3}), moved(state.values), moved(state.ancestors),
                     state.random, state.born, state.hurdle, state.best_fitness, owned(std::move(totals), {COUNTS}),
                     moved(state.canonical.keys), moved(state.canonical.values), moved(state.canonical.hits), moved(state.prints.keys),
                     moved(state.prints.values), moved(state.prints.hits)),
      nb::make_tuple(owned(std::move(born_at), {k, 3}), owned(std::move(scores), {k, 2}),
                     owned(std::move(better.code), {k, 2, room, 4}), owned(std::move(better.data), {k, 2, room, 3}),
                     owned(std::move(better.lengths), {k, 2, 3})));
}

}  // namespace

NB_MODULE(_programs, m) {
  m.doc() = "The native kernel of AutoML-Zero's programs; use it through aiga.brains.programs.";
  m.def("instruction_sets", instruction_sets);
  m.def("operations", [] {  // kinds of in1, in2 and out, and of the data
    std::vector<std::vector<int>> all;
    for (const Operation& o : operations) all.push_back({o.a, o.b, o.out, o.data});
    return all;
  });
  m.def("compiled", &compiled, nb::arg("code"), nb::arg("data"), nb::arg("lengths"), nb::arg("sizes"));
  m.def("evaluate", &evaluate, nb::arg("code"), nb::arg("data"), nb::arg("lengths"), nb::arg("sizes"),
        nb::arg("train_x"), nb::arg("train_y"), nb::arg("valid_x"), nb::arg("valid_y"), nb::arg("epochs"),
        nb::arg("accuracy"), nb::arg("single"), nb::arg("limit"), nb::arg("key"), nb::arg("lanes"), nb::arg("threads"),
        nb::arg("instruction_set"));
  m.def("evolve", &evolved, nb::arg("settings"), nb::arg("code"), nb::arg("data"), nb::arg("lengths"),
        nb::arg("values"), nb::arg("ancestors"), nb::arg("island"), nb::arg("islands"), nb::arg("random"),
        nb::arg("born"), nb::arg("hurdle"), nb::arg("best_fitness"), nb::arg("counts"), nb::arg("canonical_keys"),
        nb::arg("canonical_values"), nb::arg("canonical_hits"), nb::arg("print_keys"),
        nb::arg("print_values"), nb::arg("print_hits"), nb::arg("train_x"), nb::arg("train_y"), nb::arg("valid_x"),
        nb::arg("valid_y"), nb::arg("epochs"), nb::arg("accuracy"), nb::arg("single"), nb::arg("limit"), nb::arg("key"),
        nb::arg("individuals"), nb::arg("instruction_set"));
}
