// Convolutions of images by filters: what the module that XLA calls and the per-instruction-set objects say to each
// other. src/aiga/brains/convolution_products.py is the readable specification.
#pragma once
#include <cstdint>

namespace aiga::convolution {

struct Grid {  // of pixels, with the channels of each
  int64_t high, wide, depth;
  int64_t size() const { return high * wide * depth; }
};

// All arrays are dense and row-major, in the axis letters of the specification:
//   N images [H][W][C], D filters [h][w][C], and N times what they see, [Y][X][D].
struct Sizes {
  int64_t images;
  Grid image, window, seen;  // H W C, h w C, Y X D
  int64_t stride, padding;
};

struct Kernel {  // one instruction set's entry points: each array from the two others, of filters one pixel of all
  const char* name;
  void (*to_seen)(const Sizes&, const float* image, const float* filters, float* seen);
  void (*to_image)(const Sizes&, const float* seen, const float* filters, float* image);
  void (*to_filters)(const Sizes&, const float* image, const float* seen, float* filters, int64_t pixel);
};

}  // namespace aiga::convolution
