// Regularised evolution of programs: one island, from one checkpoint to the next.
#pragma once
#include "programs.h"

namespace aiga::programs {

enum Mutation { INSERT, REMOVE, RANDOMISE, ALTER, TRADE, REPLACE, SPLICE, MUTATIONS };
enum Count { CANONICAL_HITS, PRINT_HITS, HURDLED, DEAD, COSTLY, RUN, STEPS, COUNTS };

struct Settings {
  Sizes sizes;
  int population, tournament;
  double mutate;                        // the share of children that differ from their parent
  double mutations[MUTATIONS];          // weights
  int begin[COMPONENTS], least[COMPONENTS], most[COMPONENTS];  // instructions
  std::vector<uint8_t> allowed[COMPONENTS];
  int print_train, print_valid;         // examples of a fingerprint; 0 of both: no such cache
  int forget;                           // a fingerprint is dropped at so many hits; 0: never
  int hurdle_tasks, hurdle_every;       // tasks before the hurdle, and individuals between two settings of it; 0: none
  double budget;                        // of setup and all steps of learning; 0: none
  bool median;
  int room() const { return most[SETUP] + most[PREDICT] + most[LEARN]; }
};

struct Value { double fitness, partial; };  // the latter of the tasks before the hurdle alone

// A cache like a processor's: the key says which set of four it may be in; there the least recently used gives way. It is
// plain arrays, so that it is stored as it stands.
struct Cache {
  static constexpr size_t WAYS = 4;
  std::vector<uint64_t> keys;  // 0: free
  std::vector<Value> values;
  std::vector<int32_t> hits;

  const Value* find(uint64_t key, int forget);
  void put(uint64_t key, Value value);

 private:
  size_t set(uint64_t key) const { return size_t((unsigned __int128)key * (keys.size() / WAYS) >> 64) * WAYS; }
  void to_front(size_t first, size_t way);
};

struct Individual {
  std::vector<Instruction> code;  // [most instructions], components where the settings' sizes put them
  int length[COMPONENTS] = {};
};

struct Improvement {
  int64_t id, parent;  // names; the parent's is -1 where there is none
  int64_t ancestor;    // name of the last improvement that it descends from, -1 where there is none
  double fitness, parent_fitness;
  Individual child, parent_program;
};

struct State {
  uint64_t random = 0;
  int64_t born = 0;    // individuals so far; number k stands at place k modulo the population
  double hurdle = 0;
  double best_fitness = -1;
  std::vector<Individual> population;
  std::vector<Value> values;
  std::vector<int64_t> ancestors;  // name of the last improvement in each one's line, itself included; -1: none
  int64_t island = 0, islands = 1;
  Cache canonical, prints;
  int64_t counts[COUNTS] = {};

  // By which number k of this island is known on all of them.
  int64_t name(int64_t k) const { return islands * k + island; }
};

void evolve(const Settings&, State&, Evaluator&, const Tasks&, const Rules&, int64_t individuals,
            std::vector<Improvement>&);

}  // namespace aiga::programs
