// Convolutions in vectors of W channels: sums of a few pixels stay in the registers while all that they are made of
// is gone through, so that no image is cut into patches and no zeros around it are multiplied.
#include "../common/simd.h"
#include "convolution.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace aiga::convolution::AIGA_ISA {
namespace {

using namespace aiga::AIGA_ISA;

// Pixels, and vectors of each, whose sums fit into the registers beside what is added to them.
constexpr int ROWS = 6;
#if defined(__AVX512F__) || defined(__ARM_NEON)
constexpr int WIDE = 4;
#else
constexpr int WIDE = 2;
#endif

AIGA_INLINE F load_part(const float* p, int64_t count) {
  if (count >= W) return load(p);
  F x = 0.0f;
  if (count > 0) std::memcpy(&x, p, size_t(count) * sizeof(float));
  return x;
}

AIGA_INLINE void store_part(float* p, F x, int64_t count) {
  if (count >= W) return store(p, x);
  if (count > 0) std::memcpy(p, &x, size_t(count) * sizeof(float));
}

// One axis: places whose sums have the same parts, at the same distances. A part is a pixel of the window and how far
// its source is from the first one's; a place is where the sum goes and where the first source is.
struct Alike { std::vector<std::pair<int64_t, int64_t>> parts, places; };

template <typename Source>  // of a place and a pixel of the window; -1 for none
std::vector<Alike> axis(int64_t places, int64_t window, Source source) {
  std::vector<Alike> all;
  for (int64_t place = 0; place < places; place++) {
    std::vector<std::pair<int64_t, int64_t>> parts;
    int64_t first = 0;
    for (int64_t pixel = 0; pixel < window; pixel++) {
      const int64_t from = source(place, pixel);
      if (from < 0) continue;
      if (parts.empty()) first = from;
      parts.push_back({pixel, from - first});
    }
    auto same = std::find_if(all.begin(), all.end(), [&](const Alike& one) { return one.parts == parts; });
    if (same == all.end()) same = all.insert(all.end(), {parts, {}});
    same->places.push_back({place, first});
  }
  return all;
}

struct Part { const float* weights; int64_t source, depth; };  // of a sum: its weights, and floats from the first source
struct Place { const float* source; float* to; };

// R sums of C vectors each, of which `left` numbers count.
template <int R, int C>
AIGA_INLINE void sum_up(const std::vector<Part>& parts, const Place* places, int64_t left) {
  F sum[R][C];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) sum[r][c] = 0.0f;
  for (const Part& part : parts) {
    const float* from[R];
    for (int r = 0; r < R; r++) from[r] = places[r].source + part.source;
    const float* weights = part.weights;
    for (int64_t k = 0; k < part.depth; k++, weights += C * W) {
      F weight[C];
      for (int c = 0; c < C; c++) weight[c] = load(weights + c * W);
      for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) sum[r][c] = fused(from[r][k], weight[c], sum[r][c]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) store_part(places[r].to + c * W, sum[r][c], left - c * W);
}

// One more part, which may be no more than the last one's end.
void join(std::vector<Part>& parts, const Part& more, int64_t wide) {
  if (!parts.empty()) {
    Part& last = parts.back();
    if (more.weights == last.weights + last.depth * wide && more.source == last.source + last.depth) {
      last.depth += more.depth;
      return;
    }
  }
  parts.push_back(more);
}

template <int C>
void all_places(const std::vector<Part>& parts, const std::vector<Place>& places, int64_t left) {
  const Place *at = places.data(), *end = at + places.size();
  for (; end - at >= ROWS; at += ROWS) sum_up<ROWS, C>(parts, at, left);
  switch (end - at) {
    case 5: return sum_up<5, C>(parts, at, left);
    case 4: return sum_up<4, C>(parts, at, left);
    case 3: return sum_up<3, C>(parts, at, left);
    case 2: return sum_up<2, C>(parts, at, left);
    case 1: return sum_up<1, C>(parts, at, left);
  }
}

// Images that go through everything together: of both arrays as much as fits into a core's own cache.
int64_t together(const Sizes& s) {
  constexpr int64_t LARGEST = 1 << 17;
  return std::max<int64_t>(1, LARGEST / (s.high * s.wide * s.channels + s.seen_high * s.seen_wide * s.filters));
}

struct Grid {  // an image's pixels and channels
  int64_t high, wide, depth;
  int64_t size() const { return high * wide * depth; }
};

// Each pixel of N images `to` is a sum over the window and the channels of `from`. pack(panel, first, count, wide) lays
// out the weights of `count` channels from `first` on, `wide` of them beside each other, by window and by depth.
template <typename Pack>
void gathered(const Sizes& s, const std::vector<Alike>& rows, const std::vector<Alike>& columns, const Grid& from,
              const float* source, const Grid& into, float* to, Pack pack) {
  static thread_local std::vector<float> packed;
  static thread_local std::vector<Part> parts;
  static thread_local std::vector<Place> places;
  const int64_t block = together(s);
  for (int64_t first = 0; first < into.depth; first += WIDE * W) {
    const int64_t count = std::min<int64_t>(WIDE * W, into.depth - first), wide = (count + W - 1) / W * W;
    packed.resize(size_t(s.window_high * s.window_wide * from.depth * wide));
    pack(packed.data(), first, count, wide);
    for (int64_t image = 0; image < s.images; image += block)
      for (const Alike& row : rows)
        for (const Alike& column : columns) {
          parts.clear(), places.clear();
          for (auto [y, down] : row.parts)
            for (auto [x, right] : column.parts)
              join(parts, {packed.data() + (y * s.window_wide + x) * from.depth * wide,
                           (down * from.wide + right) * from.depth, from.depth}, wide);
          for (int64_t n = image; n < std::min(image + block, s.images); n++)
            for (auto [y, from_y] : row.places)
              for (auto [x, from_x] : column.places)
                places.push_back({source + n * from.size() + (from_y * from.wide + from_x) * from.depth,
                                  to + n * into.size() + (y * into.wide + x) * into.depth + first});
          switch (wide / W) {
#if defined(__AVX512F__) || defined(__ARM_NEON)
            case 4: all_places<4>(parts, places, count); break;
            case 3: all_places<3>(parts, places, count); break;
#endif
            case 2: all_places<2>(parts, places, count); break;
            case 1: all_places<1>(parts, places, count); break;
          }
        }
  }
}

void to_seen(const Sizes& s, const float* image, const float* filters, float* seen) {
  const auto along = [&](int64_t places, int64_t window, int64_t size) {
    return axis(places, window, [&s, size](int64_t place, int64_t pixel) {
      const int64_t at = place * s.stride + pixel - s.padding;
      return at < size ? std::max<int64_t>(at, -1) : -1;
    });
  };
  const int64_t C = s.channels, D = s.filters, numbers = s.window_high * s.window_wide * C;
  gathered(s, along(s.seen_high, s.window_high, s.high), along(s.seen_wide, s.window_wide, s.wide),
           {s.high, s.wide, C}, image, {s.seen_high, s.seen_wide, D}, seen,
           [&](float* panel, int64_t first, int64_t count, int64_t wide) {
             for (int64_t d = 0; d < wide; d += W) {
               I lane = 0;
               for (int k = 0; k < W; k++) lane.v[k] = int32_t(std::min<int64_t>(k, count - 1 - d) * numbers);
               const float* from = filters + (first + d) * numbers;
               for (int64_t k = 0; k < numbers; k++) store(panel + k * wide + d, gather(from + k, lane));
             }
           });
}

void to_image(const Sizes& s, const float* seen, const float* filters, float* image) {
  const auto along = [&](int64_t places, int64_t window, int64_t size) {
    return axis(places, window, [&s, size](int64_t place, int64_t pixel) {
      const int64_t at = place + s.padding - pixel;
      return at >= 0 && at % s.stride == 0 && at / s.stride < size ? at / s.stride : int64_t(-1);
    });
  };
  const int64_t C = s.channels, D = s.filters, window = s.window_high * s.window_wide;
  gathered(s, along(s.high, s.window_high, s.seen_high), along(s.wide, s.window_wide, s.seen_wide),
           {s.seen_high, s.seen_wide, D}, seen, {s.high, s.wide, C}, image,
           [&](float* panel, int64_t first, int64_t count, int64_t wide) {
             for (int64_t pixel = 0; pixel < window; pixel++)
               for (int64_t d = 0; d < D; d++, panel += wide)
                 for (int64_t c = 0; c < wide; c += W)
                   store(panel + c, load_part(filters + (d * window + pixel) * C + first + c, count - c));
           });
}

// Neighbouring pixels of two arrays, `one` of numbers and `wide` of vectors.
struct Run { const float *one, *wide; };
struct Runs {
  std::vector<Run> all;
  int64_t count, one_step, wide_step;  // pixels of each, and floats from one to the next
};

// The sum over all pixels of R numbers of the one times C vectors of the other, of which `left` numbers count.
template <int R, int C, bool WHOLE, typename Put>
AIGA_INLINE void multiply(const Runs& runs, int64_t one, int64_t wide, int64_t left, Put put) {
  F sum[R][C];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) sum[r][c] = 0.0f;
  for (const Run& run : runs.all) {
    const float *single = run.one + one, *many = run.wide + wide;
    for (int64_t k = 0; k < runs.count; k++, single += runs.one_step, many += runs.wide_step) {
      F vector[C];
      for (int c = 0; c < C; c++) vector[c] = WHOLE ? load(many + c * W) : load_part(many + c * W, left - c * W);
      for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) sum[r][c] = fused(single[r], vector[c], sum[r][c]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) put(one + r, wide + c * W, sum[r][c], left - c * W);
}

template <int C, bool WHOLE, typename Put>
void all_ones(const Runs& runs, int64_t ones, int64_t wide, int64_t left, Put put) {
  int64_t one = 0;
  for (; ones - one >= ROWS; one += ROWS) multiply<ROWS, C, WHOLE>(runs, one, wide, left, put);
  switch (ones - one) {
    case 5: return multiply<5, C, WHOLE>(runs, one, wide, left, put);
    case 4: return multiply<4, C, WHOLE>(runs, one, wide, left, put);
    case 3: return multiply<3, C, WHOLE>(runs, one, wide, left, put);
    case 2: return multiply<2, C, WHOLE>(runs, one, wide, left, put);
    case 1: return multiply<1, C, WHOLE>(runs, one, wide, left, put);
  }
}

template <typename Put>
void all_runs(const Runs& runs, int64_t ones, int64_t outputs, Put put) {
  for (int64_t first = 0; first < outputs; first += WIDE * W) {
    const int64_t left = std::min<int64_t>(WIDE * W, outputs - first);
    if (left % W) { all_ones<WIDE, false>(runs, ones, first, left, put); continue; }
    switch (left / W) {
#if defined(__AVX512F__) || defined(__ARM_NEON)
      case 4: all_ones<4, true>(runs, ones, first, left, put); break;
      case 3: all_ones<3, true>(runs, ones, first, left, put); break;
#endif
      case 2: all_ones<2, true>(runs, ones, first, left, put); break;
      case 1: all_ones<1, true>(runs, ones, first, left, put); break;
    }
  }
}

// Places whose pixel of the image, `shift` on, is one: from the first to before the last.
std::pair<int64_t, int64_t> within(int64_t places, int64_t stride, int64_t shift, int64_t size) {
  const int64_t first = shift < 0 ? (-shift + stride - 1) / stride : 0;
  const int64_t end = shift < size ? (size - shift + stride - 1) / stride : 0;
  return {first, std::max(first, std::min(places, end))};
}

void to_filters(const Sizes& s, const float* image, const float* seen, float* filters, int64_t pixel) {
  const int64_t C = s.channels, D = s.filters, numbers = s.window_high * s.window_wide * C, block = together(s);
  const int64_t down = pixel / s.window_wide - s.padding, right = pixel % s.window_wide - s.padding;
  const auto [top, bottom] = within(s.seen_high, s.stride, down, s.high);
  const auto [left, end] = within(s.seen_wide, s.stride, right, s.wide);
  const bool by_channel = C >= W;  // vectors are of channels, not of filters
  static thread_local Runs runs;
  runs.count = end - left;
  runs.one_step = by_channel ? D : s.stride * C;
  runs.wide_step = by_channel ? s.stride * C : D;
  float* to = filters + pixel * C;
  for (int64_t first = 0; first < s.images; first += block) {
    runs.all.clear();
    for (int64_t n = first; n < std::min(first + block, s.images); n++)
      for (int64_t y = top; y < bottom; y++) {
        const float* of_seen = seen + ((n * s.seen_high + y) * s.seen_wide + left) * D;
        const float* of_image = image + ((n * s.high + y * s.stride + down) * s.wide + left * s.stride + right) * C;
        runs.all.push_back(by_channel ? Run{of_seen, of_image} : Run{of_image, of_seen});
      }
    if (by_channel)
      all_runs(runs, D, C, [&](int64_t d, int64_t c, F sum, int64_t count) {
        float* here = to + d * numbers + c;
        store_part(here, first ? sum + load_part(here, count) : sum, count);
      });
    else
      all_runs(runs, C, D, [&](int64_t c, int64_t d, F sum, int64_t count) {
        for (int64_t k = 0; k < std::min<int64_t>(W, count); k++) {
          float& here = to[(d + k) * numbers + c];
          here = first ? here + sum.v[k] : sum.v[k];
        }
      });
  }
}

}  // namespace

extern const Kernel kernel;
const Kernel kernel = {AIGA_NAME, to_seen, to_image, to_filters};

}  // namespace aiga::convolution::AIGA_ISA
