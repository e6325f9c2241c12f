// Convolutions of images by filters: what the module that XLA calls and the per-instruction-set objects say to each
// other. src/aiga/brains/convolution.py is the readable specification.
#pragma once
#include <cstdint>

namespace aiga::convolution {

// All arrays are dense and row-major, in the axis letters of the specification: N images of H x W pixels and C
// channels, D filters of h x w pixels, Y x X places a filter is laid on, `stride` pixels apart, in `padding` zeros.
//   image [N][H][W][C], filters [D][h][w][C], seen [N][Y][X][D]
struct Sizes { int64_t images, high, wide, channels, filters, window_high, window_wide, seen_high, seen_wide, stride, padding; };

struct Kernel {  // one instruction set's entry points: each of the three arrays from the two others, `to_filters` one pixel
  // of the window at a time
  const char* name;
  void (*to_seen)(const Sizes&, const float* image, const float* filters, float* seen);
  void (*to_image)(const Sizes&, const float* seen, const float* filters, float* image);
  void (*to_filters)(const Sizes&, const float* image, const float* seen, float* filters, int64_t pixel);
};

}  // namespace aiga::convolution
