// Programs of AutoML-Zero: what the compiler, the search, the Python module and the per-instruction-set interpreters
// say to each other. src/aiga/brains/programs/interpreter.py is the readable specification of what a program computes.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace aiga::programs {

enum Kind : uint8_t { NONE, SCALAR, VECTOR, MATRIX };
enum Data : uint8_t { NOTHING, CONSTANT, ELEMENT, ENTRY, UNIFORM, GAUSSIAN };  // what an operation reads besides memory
enum Component { SETUP, PREDICT, LEARN };

constexpr int OPERATIONS = 65, COMPONENTS = 3;
// Pairs that evolution loves, a product and its sum with what is kept, made one step: v += s v, m += outer(v, v).
constexpr int ADD_SCALED = 65, ADD_OUTER = 66;
constexpr int MOST_SCALARS = 24, MOST_VECTORS = 24, MOST_MATRICES = 16;  // together the 64 bits of a set of addresses
constexpr int MOST_FEATURES = 32, MOST_INSTRUCTIONS = 255;               // the latter of one component function
constexpr double PER_INSTRUCTION = 8;  // what decoding costs, in additions of one number

struct Operation {
  Kind a, b, out;
  Data data;
  bool commutes;   // bit for bit, so not the minima: of two zeros they give the second
  uint8_t weight;  // what one element costs, in additions
};
extern const std::array<Operation, OPERATIONS> operations;

struct Instruction {
  uint8_t op, a, b, out;
  double data[3];  // constant, or low and high, or mean and deviation; after a constant its place, as shares of F
};

struct Sizes { int scalars, vectors, matrices, features; };

struct Program {
  const Instruction* part[COMPONENTS];
  int length[COMPONENTS];
};

// One instruction made ready: places in groups of W lanes from the start of memory.
struct Step {
  uint8_t op;
  uint32_t a, b, out;
  uint32_t id;  // names a random instruction by where it stood in its component, before anything was removed
  double data[3];
};

// A program without its dead code, its addresses numbered in the order in which they appear.
struct Tape {
  std::vector<Step> part[COMPONENTS];
  uint32_t groups = 0;   // groups of W lanes of memory
  uint32_t first_vector = 0;
  uint32_t scratch = 0;  // where a product may be put that overwrites its own factor
  uint64_t hash = 0;     // of the canonical form: equal for programs that differ in dead code or names of addresses
  double setup_cost = 0, step_cost = 0;  // in additions; a step is predict and learn
  int features = 0;
  uint64_t live[COMPONENTS][4] = {};  // by component, a bit for each instruction that is kept
  uint64_t fused[COMPONENTS][4] = {};  // and for each that is one step with the next that is kept
  size_t size() const { return part[SETUP].size() + part[PREDICT].size() + part[LEARN].size(); }
};
void compile(const Program&, const Sizes&, Tape&);

inline uint64_t mix(uint64_t x) {  // the last steps of SplitMix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
constexpr uint64_t GOLDEN = 0x9e3779b97f4a7c15u;
inline uint64_t fold(uint64_t h, uint64_t x) { return mix(h + GOLDEN * (x + 1)); }

struct Tasks {  // N tasks of T examples to learn from and V to be judged on
  const double *train_x, *train_y, *valid_x, *valid_y;  // [N][T][F], [N][T], [N][V][F], [N][V]
  int count, train, valid, features;
};

struct Rules {
  int epochs;
  bool accuracy;  // fitness is the share of right signs, not 1 - 2/pi atan(rmse)
  bool single;    // float32
  double limit;   // of an error; beyond it a task is over
  uint64_t key;   // of everything random that a program does
};

struct Free { void operator()(void* p) const { std::free(p); } };
template <typename T> std::unique_ptr<T[], Free> aligned(size_t count) {
  void* p = std::aligned_alloc(64, (count * sizeof(T) + 127) / 64 * 64);
  if (!p) throw std::bad_alloc();
  return std::unique_ptr<T[], Free>(static_cast<T*>(p));
}

// Some tasks beside each other in lanes; lanes without a task of their own repeat the last.
struct Pack {
  std::unique_ptr<char[], Free> numbers;
  size_t train_y, valid_x, valid_y;  // where these begin, in numbers; train_x begins at 0
  int first, count;                  // tasks
};

struct Run {
  const Tape& tape;
  const Rules& rules;
  const Pack& pack;
  int train, valid;          // examples
  char* memory;              // room for the tape's groups
  double* fitness;           // [tasks of the pack]
  uint64_t* print;           // where given: a hash of the first task's errors
};

constexpr int WIDTHS = 3;
constexpr int WIDTH[WIDTHS] = {4, 8, 16};

struct Kernel {  // one instruction set's interpreters, by precision and width
  const char* name;
  void (*run[2][WIDTHS])(const Run&);
};

// Evaluates programs on the same tasks, one after the other; not for two threads at once.
class Evaluator {
 public:
  // Tasks 0 to `first` - 1 are never in one pack with the others, so that they can be judged alone.
  Evaluator(const Kernel&, const Tasks&, const Rules&, int first, int lanes);
  void run(const Tape&, int begin, int end, double* fitness);  // `begin` 0 or `first`, `end` `first` or all
  uint64_t print(const Tape&, int train, int valid);           // a fingerprint, from the first task
  int64_t steps = 0;                                           // examples seen, by all tasks

 private:
  const std::vector<Pack>& packs(int width);
  char* memory(size_t bytes);
  const Kernel& kernel;
  Tasks tasks;
  Rules rules;
  int first, lanes;
  std::vector<Pack> packed[WIDTHS];
  std::unique_ptr<char[], Free> room;
  size_t room_bytes = 0;
};
double combine(const double* fitness, int count, bool median);

}  // namespace aiga::programs
