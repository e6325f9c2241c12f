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

// f of a number from 1 to MOST that it knows as it is compiled.
template <int MOST, typename Function> void exactly(int64_t number, Function f) {
  if constexpr (MOST > 0) {
    if (number == MOST) f(std::integral_constant<int, MOST>());
    else exactly<MOST - 1>(number, f);
  }
}

// f(first, count) for `many` things, ROWS at a time.
template <typename Function> void in_rows(int64_t many, Function f) {
  int64_t first = 0;
  for (; first + ROWS <= many; first += ROWS) f(first, std::integral_constant<int, ROWS>());
  exactly<ROWS - 1>(many - first, [&](auto rest) { f(first, rest); });
}

// Images that go through everything together: of both arrays as much as fits into a core's own cache.
int64_t together(const Sizes& s) {
  constexpr int64_t LARGEST = 1 << 17;
  return std::max<int64_t>(1, LARGEST / (1 + s.image.size() + s.seen.size()));
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

struct Part {  // of a sum: weights, and as many numbers so far from the first source
  const float* weights;
  int64_t source, depth;
};
struct Place { const float* source; float* to; };

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

// R sums of C vectors, of which `count` numbers are wanted.
template <int R, int C> void sum_up(const std::vector<Part>& parts, const Place* places, int64_t count) {
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
    for (int c = 0; c < C; c++) store_part(places[r].to + c * W, sum[r][c], count - c * W);
}

// Each pixel of N images `to` is a sum over the window and the channels of `from`. pack(panel, first, count, wide) lays
// out the weights of `count` channels from `first` on, `wide` of them beside each other, by window and by depth.
template <typename Pack>
void gathered(const Sizes& s, const std::vector<Alike>& rows, const std::vector<Alike>& columns, const Grid& from,
              const float* source, const Grid& into, float* to, Pack pack) {
  // Each thread keeps its own, as new memory in every call would take as long as small sums.
  static thread_local std::vector<float> packed;
  static thread_local std::vector<Part> parts;
  static thread_local std::vector<Place> places;
  const int64_t block = together(s);
  for (int64_t first = 0; first < into.depth; first += WIDE * W) {
    const int64_t count = std::min<int64_t>(WIDE * W, into.depth - first), wide = (count + W - 1) / W * W;
    packed.resize(size_t(s.window.high * s.window.wide * from.depth * wide));
    pack(packed.data(), first, count, wide);
    for (int64_t image = 0; image < s.images; image += block)
      for (const Alike& row : rows)
        for (const Alike& column : columns) {
          parts.clear(), places.clear();
          for (auto [y, down] : row.parts)
            for (auto [x, right] : column.parts)
              join(parts, {packed.data() + (y * s.window.wide + x) * from.depth * wide,
                           (down * from.wide + right) * from.depth, from.depth}, wide);
          for (int64_t n = image; n < std::min(image + block, s.images); n++)
            for (auto [y, from_y] : row.places)
              for (auto [x, from_x] : column.places)
                places.push_back({source + n * from.size() + (from_y * from.wide + from_x) * from.depth,
                                  to + n * into.size() + (y * into.wide + x) * into.depth + first});
          exactly<WIDE>(wide / W, [&](auto vectors) {
            in_rows(int64_t(places.size()), [&](int64_t place, auto few) {
              sum_up<few, vectors>(parts, &places[size_t(place)], count);
            });
          });
        }
  }
}

void to_seen(const Sizes& s, const float* image, const float* filters, float* seen) {
  const auto along = [&s](int64_t places, int64_t window, int64_t size) {
    return axis(places, window, [&s, size](int64_t place, int64_t pixel) {
      const int64_t at = place * s.stride + pixel - s.padding;
      return at < size ? std::max<int64_t>(at, -1) : -1;
    });
  };
  const int64_t numbers = s.window.size();
  gathered(s, along(s.seen.high, s.window.high, s.image.high), along(s.seen.wide, s.window.wide, s.image.wide),
           s.image, image, s.seen, seen, [&](float* panel, int64_t first, int64_t count, int64_t wide) {
             for (int64_t d = 0; d < wide; d += W) {
               I lane = 0;  // of which those beyond the last filter are the last one's
               for (int k = 0; k < W; k++) lane.v[k] = int32_t(std::min<int64_t>(k, count - 1 - d) * numbers);
               const float* from = filters + (first + d) * numbers;
               for (int64_t k = 0; k < numbers; k++) store(panel + k * wide + d, gather(from + k, lane));
             }
           });
}

void to_image(const Sizes& s, const float* seen, const float* filters, float* image) {
  const auto along = [&s](int64_t places, int64_t window, int64_t size) {
    return axis(places, window, [&s, size](int64_t place, int64_t pixel) {
      const int64_t at = place + s.padding - pixel;
      return at >= 0 && at % s.stride == 0 && at / s.stride < size ? at / s.stride : int64_t(-1);
    });
  };
  const int64_t C = s.image.depth, D = s.seen.depth, window = s.window.high * s.window.wide;
  gathered(s, along(s.image.high, s.window.high, s.seen.high), along(s.image.wide, s.window.wide, s.seen.wide),
           s.seen, seen, s.image, image, [&](float* panel, int64_t first, int64_t count, int64_t wide) {
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

// The sums over all pixels of R numbers times C vectors, of which `count` numbers are wanted, each given to `put` with
// its place: the numbers begin at `row` of each `one`, the vectors at `column` of each `wide`.
template <int R, int C, bool WHOLE, typename Put>
void multiply(const Runs& runs, int64_t row, int64_t column, int64_t count, Put put) {
  F sum[R][C];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) sum[r][c] = 0.0f;
  for (const Run& run : runs.all) {
    const float *single = run.one + row, *many = run.wide + column;
    for (int64_t k = 0; k < runs.count; k++, single += runs.one_step, many += runs.wide_step) {
      F vector[C];
      for (int c = 0; c < C; c++) vector[c] = WHOLE ? load(many + c * W) : load_part(many, count);
      for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) sum[r][c] = fused(single[r], vector[c], sum[r][c]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) put(row + r, column + c * W, sum[r][c], count - c * W);
}

// Of all `ones` numbers and all `outputs` of the vectors.
template <typename Put> void multiply_all(const Runs& runs, int64_t ones, int64_t outputs, Put put) {
  for (int64_t first = 0; first < outputs;) {
    const int64_t whole = std::min<int64_t>(WIDE, (outputs - first) / W);
    exactly<WIDE>(whole, [&](auto vectors) {
      in_rows(ones, [&](int64_t row, auto few) { multiply<few, vectors, true>(runs, row, first, whole * W, put); });
    });
    if (!whole)
      in_rows(ones, [&](int64_t row, auto few) { multiply<few, 1, false>(runs, row, first, outputs - first, put); });
    first += std::max<int64_t>(1, whole) * W;
  }
}

// Places whose pixel of the image, `shift` on, is one: from the first to before the last.
std::pair<int64_t, int64_t> within(int64_t places, int64_t stride, int64_t shift, int64_t size) {
  const int64_t first = shift < 0 ? (-shift + stride - 1) / stride : 0;
  const int64_t end = shift < size ? (size - shift + stride - 1) / stride : 0;
  return {first, std::max(first, std::min(places, end))};
}

void to_filters(const Sizes& s, const float* image, const float* seen, float* filters, int64_t pixel) {
  const int64_t C = s.image.depth, D = s.seen.depth, numbers = s.window.size(), block = together(s);
  const int64_t down = pixel / s.window.wide - s.padding, right = pixel % s.window.wide - s.padding;
  const auto [top, bottom] = within(s.seen.high, s.stride, down, s.image.high);
  const auto [left, end] = within(s.seen.wide, s.stride, right, s.image.wide);
  const bool by_channel = C >= W;  // vectors are of channels, not of filters
  static thread_local Runs runs;
  runs.count = end - left;
  runs.one_step = by_channel ? D : s.stride * C;
  runs.wide_step = by_channel ? s.stride * C : D;
  float* to = filters + pixel * C;
  int64_t first = 0;
  do {
    runs.all.clear();
    for (int64_t n = first; n < std::min(first + block, s.images); n++)
      for (int64_t y = top; y < bottom; y++) {
        const float* of_seen = seen + n * s.seen.size() + (y * s.seen.wide + left) * D;
        const int64_t row = y * s.stride + down, column = left * s.stride + right;
        const float* of_image = image + n * s.image.size() + (row * s.image.wide + column) * C;
        runs.all.push_back(by_channel ? Run{of_seen, of_image} : Run{of_image, of_seen});
      }
    if (by_channel)
      multiply_all(runs, D, C, [&](int64_t d, int64_t c, F sum, int64_t count) {
        float* here = to + d * numbers + c;
        store_part(here, first ? sum + load_part(here, count) : sum, count);
      });
    else
      multiply_all(runs, C, D, [&](int64_t c, int64_t d, F sum, int64_t count) {
        for (int64_t k = 0; k < std::min<int64_t>(W, count); k++) {
          float& here = to[(d + k) * numbers + c];
          here = first ? here + sum.v[k] : sum.v[k];
        }
      });
  } while ((first += block) < s.images);
}

}  // namespace

extern const Kernel kernel;
const Kernel kernel = {AIGA_NAME, to_seen, to_image, to_filters};

}  // namespace aiga::convolution::AIGA_ISA
