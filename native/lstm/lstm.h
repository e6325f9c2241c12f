// An LSTM over many rows: what the module that XLA calls and the per-instruction-set objects say to each other.
// src/aiga/brains/lstm.py is the readable specification.
#pragma once
#include <cstdint>

namespace aiga::lstm {

struct Sizes { int64_t steps, rows, inputs, units; };  // inputs are none of `Backward`'s business

// All arrays are dense and row-major, in the axis letters of the specification: S steps, R rows, I inputs, H units.
// Gates are in the order input, forget, new, output.
struct Forward {
  const float *matrix, *bias;       // [I + H][4 H], [4 H]
  const float *output, *cell;       // [R][H], the memory to begin with
  const float* signals;             // [S][R][I]
  const bool* begun;                // [S][R], the memory is nothing before the step; null: it always is something
  float *outputs, *cells, *gates;   // [S][R][H], [S][R][H], [S][R][4 H] or null
};

struct Backward {
  const float* turned;              // [H][4 H], the rows of the matrix that meet the output
  const bool* begun;                // [S][R]
  const float *before, *cells;      // [S][R][H], before each step and after it
  const float* gates;               // [S][R][4 H]
  const float* slopes;              // [S][R][H], of the outputs
  float* of_gates;                  // [S][R][4 H], of what goes into the gates
  float *of_output, *of_cell;       // [R][H], of the memory to begin with
};

struct Kernel {  // one instruction set's entry points
  const char* name;
  void (*forward)(const Sizes&, const Forward&);
  void (*backward)(const Sizes&, const Backward&);
};

}  // namespace aiga::lstm
