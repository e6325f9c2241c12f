// What the Python module and the per-instruction-set objects say to each other. Plain pointers, no owners.
#pragma once
#include <atomic>
#include <cstdint>

namespace aiga {

constexpr int BODY = 6;               // x, y of the centre of mass, angle, and their velocities
constexpr int BODIES = 5;             // hull, upper and lower leg, upper and lower leg
constexpr int FLAGS = 30, TOUCH = 32, SHAPING = 34, TIME = 35;  // places in a state after the bodies
constexpr int STATE = 36;
constexpr int OBSERVATION = 24;
constexpr int ACTION = 4;
constexpr int LIDAR_REACH = 13;       // cells that the flattest ray can cross
constexpr int PAD_LEFT = 4, PAD_RIGHT = 16;  // cells around a course, so that no look-up leaves it
constexpr int SETTING = 6;            // numbers of a course beside its heights

constexpr float HULL_CX = -0.0200364f, HULL_CY = -0.00564664f;  // centre of mass from the hull's origin
constexpr float HIP_Y = -8.0f / 30;
constexpr float MASS_U = 0.30222222f, MASS_L = 0.24177778f;     // of an upper and of a lower leg part

struct Setting {  // of one course
  float friction;   // of a leg on the ground
  float depth;      // metres of soft ground over what is hard; 0: it is hard
  float give;       // 1/kg, how much speed a point in soft ground yields for an impulse
  float rise;       // 1/s, with how much speed it is pushed out for each metre it has sunk
  float mass, total;         // of the hull, of the whole walker
  float inertia, about_hip;  // of the hull about its centre of mass, and about the hip
};

struct Ground {          // C courses of `cells` cells, padded on both sides
  const float* heights;  // [C][cells + pads][2], left and right height of each cell, metres
  const float* tops;     // [C][cells + pads], the highest ground within three cells
  const Setting* settings;  // [C]
  int32_t cells;
};

struct Quality {
  int32_t newton;    // most Newton steps of the velocity solver
  int32_t position;  // most passes of the position solver
  int32_t bug_flags; // emulate Gymnasium's contact flag, cleared when any one edge is left
};

struct Network {
  const int32_t* sizes;        // [layers + 1]
  const int32_t* activations;  // [layers]: 0 identity, 1 tanh, 2 relu
  int32_t layers;
};

struct Rollouts {  // P episodes
  const float* weights;  // [rows][N]
  const int32_t* row;    // [P], whose weights
  const int32_t* course; // [P]
  const float* start;    // [P][STATE]
  int64_t count, weights_per_row;
  int32_t max_steps;
  float *returns, *distance;
  int32_t* lengths;
  uint8_t* finished;
  int64_t* lane_steps;   // one number: steps taken times lanes, for the share of lanes in use
};

struct Steps {  // E environments, one step each
  const float* state;    // [E][STATE]
  const float* action;   // [E][ACTION]
  const int32_t* course; // [E]
  int64_t count;
  float *next, *observation, *reward;  // [E][STATE], [E][OBSERVATION], [E]
  uint8_t *terminated, *finished;      // [E]
};

struct Kernel {  // one instruction set's entry points
  const char* name;
  int width;
  void (*rollout)(const Ground&, const Quality&, const Network&, const Rollouts&, std::atomic<int64_t>& next);
  void (*step)(const Ground&, const Quality&, const Steps&, int64_t begin, int64_t end);
  float (*multiply_add)(int64_t rounds);  // 24 * width operations a round
};

}  // namespace aiga
