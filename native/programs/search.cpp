#include "search.h"

#include <algorithm>

namespace aiga::programs {

void Cache::to_front(size_t first, size_t way) {
  std::rotate(&keys[first], &keys[first + way], &keys[first + way] + 1);
  std::rotate(&values[first], &values[first + way], &values[first + way] + 1);
  std::rotate(&hits[first], &hits[first + way], &hits[first + way] + 1);
}

const Value* Cache::find(uint64_t key, int forget) {
  if (keys.empty()) return nullptr;
  const size_t first = set(key);
  for (size_t way = 0; way < WAYS; way++) {
    if (keys[first + way] != key) continue;
    if (way) to_front(first, way);
    if (forget && ++hits[first] >= forget) keys[first] = 0;  // its value may still be read, this once
    return &values[first];
  }
  return nullptr;
}

void Cache::put(uint64_t key, Value value) {
  if (keys.empty()) return;
  const size_t first = set(key);
  const auto free = std::find(&keys[first], &keys[first] + WAYS - 1, 0);  // or the last
  to_front(first, size_t(free - &keys[first]));
  keys[first] = key, values[first] = value, hits[first] = 0;
}

namespace {

class Chance {  // SplitMix64
 public:
  explicit Chance(uint64_t& state) : state(state) {}
  uint64_t next() { return mix(state += GOLDEN); }
  int below(int n) { return int((next() >> 32) * uint64_t(n) >> 32); }
  double between(double low, double high) { return low + (high - low) * (double(next() >> 11) * 0x1p-53); }
  bool share(double p) { return between(0, 1) < p; }

 private:
  uint64_t& state;
};

class Variation {
 public:
  Variation(const Settings& settings, Chance& chance) : settings(settings), chance(chance) {
    for (int c = 0; c < COMPONENTS; c++)
      if (!settings.allowed[c].empty()) components[open++] = c;
    for (double w : settings.mutations) weight += w;
  }

  // What has no operations to be made of is given, and stays.
  void create(Individual& one) {
    for (int c = 0; c < COMPONENTS; c++) {
      if (settings.allowed[c].empty()) continue;
      one.length[c] = settings.begin[c];
      for (int k = 0; k < one.length[c]; k++) part(one, c)[k] = instruction(c);
    }
  }

  void mutate(Individual& one) {
    double at = chance.between(0, weight);
    int kind = 0;
    while (kind + 1 < MUTATIONS && (at -= settings.mutations[kind]) >= 0) kind++;
    const int c = components[chance.below(open)];
    Instruction* part = this->part(one, c);
    int& length = one.length[c];
    switch (kind) {
      case INSERT:
        if (length < settings.most[c]) insert(part, length, c);
        break;
      case REMOVE:
        if (length > settings.least[c]) remove(part, length);
        break;
      case RANDOMISE:
        for (int k = 0; k < length; k++) part[k] = instruction(c);
        break;
      case ALTER:
        if (length) alter(part[chance.below(length)]);
        break;
      case TRADE:  // removing first leaves room
        if (length) remove(part, length), insert(part, length, c);
        break;
      case REPLACE:
        if (length) part[chance.below(length)] = instruction(c);
        break;
      case SPLICE:
        if (length) splice(one, c, chance.below(length));
        break;
    }
  }

  Instruction* part(Individual& one, int c) const {
    return one.code.data() + (c > SETUP ? settings.most[SETUP] : 0) + (c > PREDICT ? settings.most[PREDICT] : 0);
  }

 private:
  int number(Kind kind) const {
    const Sizes& s = settings.sizes;
    return kind == SCALAR ? s.scalars : kind == VECTOR ? s.vectors : s.matrices;
  }
  uint8_t from(Kind kind) { return kind == NONE ? 0 : uint8_t(chance.below(number(kind))); }
  uint8_t to(Kind kind) {  // s0 and v0 are the label's and the features'
    const int kept = kind == MATRIX ? 0 : 1;
    return kind == NONE ? 0 : uint8_t(kept + chance.below(number(kind) - kept));
  }

  Instruction instruction(int c) {
    const uint8_t op = settings.allowed[c][chance.below(int(settings.allowed[c].size()))];
    const Operation& o = operations[op];
    Instruction i{op, from(o.a), from(o.b), to(o.out), {0, 0, 0}};
    if (o.data != NOTHING) i.data[0] = chance.between(-1, 1);
    if (o.data == UNIFORM) i.data[1] = chance.between(-1, 1);
    if (o.data == GAUSSIAN || o.data == ELEMENT || o.data == ENTRY) i.data[1] = chance.between(0, 1);
    if (o.data == ENTRY) i.data[2] = chance.between(0, 1);
    return i;
  }

  void insert(Instruction* part, int& length, int c) {
    const int at = chance.below(length + 1);
    std::copy_backward(part + at, part + length, part + length + 1);
    part[at] = instruction(c), length++;
  }

  void remove(Instruction* part, int& length) {
    const int at = chance.below(length);
    std::copy(part + at + 1, part + length, part + at), length--;
  }

  void alter(Instruction& i) {
    const Operation& o = operations[i.op];
    if (o.out == NONE) return;
    if (o.a == NONE) {
      if (chance.below(2)) i.out = to(o.out);
      else number(i, o.data);
      return;
    }
    switch (chance.below(o.b == NONE ? 2 : 3)) {
      case 0: i.a = from(o.a); break;
      case 1: i.out = to(o.out); break;
      case 2: i.b = from(o.b); break;
    }
  }

  // Whoever read an input of this instruction after it, in the order of learning, reads its result instead, until one
  // of the two is overwritten. Of two inputs that could be, one is drawn.
  void splice(Individual& one, int c, int at) {
    const Instruction made = part(one, c)[at];
    const Operation& o = operations[made.op];
    const bool a = o.a == o.out, b = o.b == o.out;
    if (o.out == NONE || (!a && !b)) return;
    const uint8_t old = (a && b ? chance.below(2) : a) ? made.a : made.b;
    const int home = c;
    for (int ends = 0, k = at + 1;; k++) {
      if (k >= one.length[c]) {
        if (++ends == COMPONENTS) return;
        c = c == LEARN ? PREDICT : c + 1, k = -1;
        continue;
      }
      if (c == home && k == at) return;
      Instruction& i = part(one, c)[k];
      const Operation& p = operations[i.op];
      if (p.a == o.out && i.a == old) i.a = made.out;
      if (p.b == o.out && i.b == old) i.b = made.out;
      if (p.out == o.out && (i.out == old || i.out == made.out)) return;
    }
  }

  void number(Instruction& i, Data data) {
    const int which = chance.below(data == CONSTANT ? 1 : data == ENTRY ? 3 : 2);
    if (which > 0 && (data == ELEMENT || data == ENTRY)) i.data[which] = chance.between(0, 1);
    else {
      i.data[which] *= chance.between(0.5, 2);
      if (chance.share(0.1) && !(data == GAUSSIAN && which == 1)) i.data[which] = -i.data[which];
    }
  }

  const Settings& settings;
  Chance& chance;
  int components[COMPONENTS] = {}, open = 0;
  double weight = 0;
};

class Judge {
 public:
  Judge(const Settings& settings, State& state, Evaluator& evaluator, const Tasks& tasks, const Rules& rules)
      : settings(settings), state(state), evaluator(evaluator), tasks(tasks), rules(rules), fitness(tasks.count) {}

  Value judge(const Program& program) {
    compile(program, settings.sizes, tape);
    state.counts[DEAD] += tape.size() == 0;
    if (settings.budget > 0 && tape.setup_cost + double(rules.epochs) * tasks.train * tape.step_cost > settings.budget) {
      state.counts[COSTLY]++;
      return {0, 0};
    }
    if (const Value* known = state.canonical.find(tape.hash, 0)) {
      state.counts[CANONICAL_HITS]++;
      return *known;
    }
    const bool prints = settings.print_train + settings.print_valid > 0 && !state.prints.keys.empty();
    const uint64_t print = prints ? evaluator.print(tape, settings.print_train, settings.print_valid) : 0;
    if (const Value* known = prints ? state.prints.find(print, settings.forget) : nullptr) {
      state.counts[PRINT_HITS]++;
      state.canonical.put(tape.hash, *known);
      return *known;
    }
    const Value value = run();
    state.canonical.put(tape.hash, value);
    if (prints) state.prints.put(print, value);
    return value;
  }

  // The 75th percentile of the population's different fitnesses.
  void set_hurdle() {
    std::vector<double> all;
    for (const Value& v : state.values) all.push_back(v.partial);
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    state.hurdle = all[size_t(0.75 * double(all.size() - 1))];
  }

 private:
  Value run() {
    const int first = settings.hurdle_tasks;
    state.counts[RUN]++;
    Value value{0, 0};
    if (first) {
      evaluator.run(tape, 0, first, fitness.data());
      value.fitness = value.partial = combine(fitness.data(), first, settings.median);
      if (value.partial < state.hurdle) return state.counts[HURDLED]++, value;
    }
    evaluator.run(tape, first, tasks.count, fitness.data() + first);
    value.fitness = combine(fitness.data(), tasks.count, settings.median);
    return value;
  }

  const Settings& settings;
  State& state;
  Evaluator& evaluator;
  const Tasks& tasks;
  const Rules& rules;
  std::vector<double> fitness;
  Tape tape;
};

}  // namespace

void evolve(const Settings& settings, State& state, Evaluator& evaluator, const Tasks& tasks, const Rules& rules,
            int64_t individuals, std::vector<Improvement>& improvements) {
  Chance chance(state.random);
  Variation variation(settings, chance);
  Judge judge(settings, state, evaluator, tasks, rules);
  const int64_t size = settings.population;
  const int64_t steps = evaluator.steps;
  Individual child;
  child.code.resize(settings.room());
  for (int64_t n = 0; n < individuals; n++) {
    const int64_t id = state.born++;
    int parent = -1;
    if (id < size) {
      child = state.population[size_t(id)];
      variation.create(child);
    } else {
      parent = chance.below(int(size));
      for (int k = 1; k < settings.tournament; k++) {
        const int other = chance.below(int(size));
        if (state.values[other].fitness > state.values[parent].fitness) parent = other;
      }
      child = state.population[parent];
      if (chance.share(settings.mutate)) variation.mutate(child);
    }
    Program program;
    for (int c = 0; c < COMPONENTS; c++) {
      program.part[c] = variation.part(child, c);
      program.length[c] = child.length[c];
    }
    const Value value = judge.judge(program);
    int64_t ancestor = parent < 0 ? -1 : state.ancestors[parent];
    if (value.fitness > state.best_fitness) {
      state.best_fitness = value.fitness;
      const int64_t name = state.name(id);
      if (parent < 0) improvements.push_back({name, -1, -1, value.fitness, 0, child, {}});
      else
        improvements.push_back({name, state.name(id - 1 - (id - 1 - parent) % size), ancestor, value.fitness,
                                state.values[parent].fitness, child, state.population[parent]});
      ancestor = name;
    }
    const size_t place = size_t(id % size);
    state.population[place] = child, state.values[place] = value, state.ancestors[place] = ancestor;
    if (settings.hurdle_tasks && state.born >= size && state.born % settings.hurdle_every == 0) judge.set_hurdle();
  }
  state.counts[STEPS] += evaluator.steps - steps;
}

}  // namespace aiga::programs
