// The Python module aiga._walker: checks what comes in, picks the instruction set, spreads work over threads.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../common/dispatch.h"
#include "walker.h"

namespace aiga { AIGA_KERNELS }

namespace nb = nanobind;
using namespace aiga;

namespace {

template <typename T, typename Shape>
using In = nb::ndarray<const T, nb::numpy, Shape, nb::c_contig, nb::device::cpu>;
template <typename T>
using Out = nb::ndarray<nb::numpy, T>;

// From friction, depth, give, rise, and the hull's mass and inertia.
Setting setting(const float* from) {
  for (int k = 0; k < SETTING; k++)
    if (!std::isfinite(from[k]) || from[k] < 0 || (k > 3 && from[k] == 0))
      throw std::invalid_argument("settings: finite numbers, none below 0, and a hull of some mass and inertia");
  const float mass = from[4], inertia = from[5], hx = HULL_CX, hy = HULL_CY - HIP_Y;
  return {from[0], from[1], from[2], from[3], mass, mass + 2 * (MASS_U + MASS_L), inertia,
          inertia + mass * (hx * hx + hy * hy)};
}

// The padded ground of C courses: flat before the start, nothing after the end.
struct Courses {
  std::vector<float> heights, tops;
  std::vector<Setting> settings;
  Ground ground;

  Courses(In<float, nb::shape<-1, -1, 2>> from, In<float, nb::shape<-1, SETTING>> given) {
    const int64_t count = from.shape(0), cells = from.shape(1), wide = cells + PAD_LEFT + PAD_RIGHT;
    if (count < 1 || cells < 2 * LIDAR_REACH) throw std::invalid_argument("heights: at least one course of 26 cells");
    if (count * wide > (int64_t(1) << 29)) throw std::invalid_argument("heights: fewer courses");
    if (int64_t(given.shape(0)) != count) throw std::invalid_argument("settings: one row for each course");
    heights.resize(count * wide * 2), tops.resize(count * wide);
    for (int64_t c = 0; c < count; c++) settings.push_back(setting(given.data() + c * SETTING));
    for (int64_t c = 0; c < count; c++) {
      const float* h = from.data() + c * cells * 2;
      float* to = heights.data() + c * wide * 2;
      for (int64_t k = 0; k < wide; k++)
        for (int side = 0; side < 2; side++) {
          const int64_t cell = k - PAD_LEFT;
          const float y = cell < 0 ? h[0] : cell < cells ? h[cell * 2 + side] : -1e4f;
          if (!std::isfinite(y)) throw std::invalid_argument("heights: finite numbers");
          to[k * 2 + side] = y;
        }
      for (int64_t k = 0; k < wide; k++) {
        const int64_t first = std::max<int64_t>(0, k - 3), last = std::min(wide - 1, k + 3);
        tops[c * wide + k] = *std::max_element(to + first * 2, to + last * 2 + 2);
      }
    }
    ground = {heights.data(), tops.data(), settings.data(), int32_t(cells)};
  }
};

void check_index(const int32_t* values, size_t count, size_t limit, const char* name) {
  for (size_t k = 0; k < count; k++)
    if (values[k] < 0 || size_t(values[k]) >= limit)
      throw std::invalid_argument(std::string(name) + ": from 0 to " + std::to_string(limit - 1));
}

void check_length(size_t got, size_t want, const char* name) {
  if (got != want) throw std::invalid_argument(std::string(name) + ": " + std::to_string(want) + " rows, not " + std::to_string(got));
}

template <typename T>
Out<T> owned(std::unique_ptr<T[]> data, std::initializer_list<size_t> shape) {
  T* raw = data.release();
  return Out<T>(raw, shape, nb::capsule(raw, [](void* p) noexcept { delete[] static_cast<T*>(p); }));
}

template <typename Work>
void spread(int threads, Work work) {  // work(k) for k in 0..threads-1, this thread among them
  std::vector<std::thread> others;
  for (int k = 1; k < threads; k++) others.emplace_back(work, k);
  work(0);
  for (auto& t : others) t.join();
}

nb::tuple rollout(In<float, nb::shape<-1, -1>> weights, In<int32_t, nb::shape<-1>> row,
                  In<float, nb::shape<-1, -1, 2>> heights, In<float, nb::shape<-1, SETTING>> settings,
                  In<int32_t, nb::shape<-1>> course,
                  In<float, nb::shape<-1, STATE>> start, std::vector<int32_t> sizes, std::vector<int32_t> activations,
                  int max_steps, int threads, int newton, int position, bool bug_flags,
                  const std::string& instruction_set) {
  const Kernel& kernel = choose(instruction_set);
  const size_t count = row.shape(0);
  check_length(course.shape(0), count, "course");
  check_length(start.shape(0), count, "start");
  check_index(row.data(), count, weights.shape(0), "row");
  check_index(course.data(), count, heights.shape(0), "course");
  if (sizes.size() < 2 || sizes.front() != OBSERVATION || sizes.back() != ACTION)
    throw std::invalid_argument("sizes: from 24 observations to 4 actions");
  if (activations.size() + 1 != sizes.size()) throw std::invalid_argument("activations: one for each layer");
  size_t needed = 0;
  for (size_t k = 0; k + 1 < sizes.size(); k++) {
    if (sizes[k + 1] < 1 || sizes[k + 1] > 4096) throw std::invalid_argument("sizes: from 1 to 4096");
    if (activations[k] < 0 || activations[k] > 2) throw std::invalid_argument("activations: 0, 1 or 2");
    needed += size_t(sizes[k] + 1) * sizes[k + 1];
  }
  if (weights.shape(1) != needed) throw std::invalid_argument("weights: rows of " + std::to_string(needed) + " numbers, not " + std::to_string(weights.shape(1)));
  if (max_steps < 1 || threads < 1 || newton < 2 || position < 1) throw std::invalid_argument("max_steps, threads, newton, position: at least 1 (newton 2)");
  Courses courses(heights, settings);
  auto returns = std::make_unique<float[]>(count), distance = std::make_unique<float[]>(count);
  auto lengths = std::make_unique<int32_t[]>(count);
  auto finished = std::make_unique<bool[]>(count);
  int64_t lane_steps = 0;
  static_assert(sizeof(bool) == 1);
  {
    nb::gil_scoped_release release;
    const Quality quality{newton, position, bug_flags};
    const Network network{sizes.data(), activations.data(), int32_t(activations.size())};
    const Rollouts job{weights.data(), row.data(), course.data(), start.data(), int64_t(count), int64_t(weights.shape(1)),
                       max_steps, returns.get(), distance.get(), lengths.get(), reinterpret_cast<uint8_t*>(finished.get()), &lane_steps};
    std::atomic<int64_t> next{0};
    const int most = int(std::max<size_t>(1, (count + kernel.width - 1) / kernel.width));
    spread(std::min(threads, most), [&](int) { kernel.rollout(courses.ground, quality, network, job, next); });
  }
  return nb::make_tuple(owned(std::move(returns), {count}), owned(std::move(lengths), {count}),
                        owned(std::move(distance), {count}), owned(std::move(finished), {count}), lane_steps);
}

nb::tuple step(In<float, nb::shape<-1, STATE>> state, In<float, nb::shape<-1, ACTION>> action,
               In<float, nb::shape<-1, -1, 2>> heights, In<float, nb::shape<-1, SETTING>> settings,
               In<int32_t, nb::shape<-1>> course, int threads, int newton, int position, bool bug_flags, const std::string& instruction_set) {
  const Kernel& kernel = choose(instruction_set);
  const size_t count = state.shape(0);
  check_length(action.shape(0), count, "action");
  check_length(course.shape(0), count, "course");
  check_index(course.data(), count, heights.shape(0), "course");
  if (threads < 1 || newton < 2 || position < 1) throw std::invalid_argument("threads, newton, position: at least 1 (newton 2)");
  Courses courses(heights, settings);
  auto next = std::make_unique<float[]>(count * STATE), observation = std::make_unique<float[]>(count * OBSERVATION);
  auto reward = std::make_unique<float[]>(count);
  auto terminated = std::make_unique<bool[]>(count), finished = std::make_unique<bool[]>(count);
  {
    nb::gil_scoped_release release;
    const Quality quality{newton, position, bug_flags};
    const Steps job{state.data(), action.data(), course.data(), int64_t(count), next.get(), observation.get(),
                    reward.get(), reinterpret_cast<uint8_t*>(terminated.get()), reinterpret_cast<uint8_t*>(finished.get())};
    // A thread is worth its start only with a few hundred environments to step.
    const int used = int(std::clamp<size_t>(count / 256, 1, threads));
    const size_t chunk = (count / used + kernel.width) / kernel.width * kernel.width;
    spread(used, [&](int k) { kernel.step(courses.ground, quality, job, std::min(count, k * chunk), std::min(count, (k + 1) * chunk)); });
  }
  return nb::make_tuple(owned(std::move(next), {count, size_t(STATE)}), owned(std::move(observation), {count, size_t(OBSERVATION)}),
                        owned(std::move(reward), {count}), owned(std::move(terminated), {count}), owned(std::move(finished), {count}));
}

}  // namespace

NB_MODULE(_walker, m) {
  m.doc() = "The native kernel of the walker; use it through aiga.worlds.walker.kernel.";
  m.attr("STATE") = STATE;
  m.def("instruction_sets", instruction_sets);
  m.def("multiply_add", [](int64_t rounds) {  // operations done, for a measure of the core
    const Kernel& kernel = choose("");
    volatile float keep = kernel.multiply_add(rounds);
    (void)keep;
    return rounds * 24 * kernel.width;
  });
  m.def("rollout", &rollout, nb::arg("weights"), nb::arg("row"), nb::arg("heights"), nb::arg("settings"), nb::arg("course"), nb::arg("start"),
        nb::arg("sizes"), nb::arg("activations"), nb::arg("max_steps"), nb::arg("threads"), nb::arg("newton"),
        nb::arg("position"), nb::arg("bug_flags"), nb::arg("instruction_set"));
  m.def("step", &step, nb::arg("state"), nb::arg("action"), nb::arg("heights"), nb::arg("settings"), nb::arg("course"), nb::arg("threads"),
        nb::arg("newton"), nb::arg("position"), nb::arg("bug_flags"), nb::arg("instruction_set"));
}
