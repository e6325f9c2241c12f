// The Python module aiga._convolution: the handlers that XLA calls.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "../common/dispatch.h"
#include "../common/xla.h"
#include "convolution.h"

namespace aiga::convolution { AIGA_KERNELS }

namespace nb = nanobind;
using namespace aiga;
using namespace aiga::convolution;

namespace {

using Dims = ffi::Span<const int64_t>;

Sizes sizes(Dims image, Dims filters, Dims seen, int64_t stride, int64_t padding) {
  const auto grid = [](Dims dims) { return Grid{last(dims, 2), last(dims, 1), last(dims, 0)}; };
  return {last(image, 3), grid(image), grid(filters), grid(seen), stride, padding};
}

// f(first, end) for parts of so many units of work, side by side where there is enough to do.
template <typename Function>
void shared(ffi::ThreadPool& pool, const Sizes& s, int64_t batch, int64_t units, Function f) {
  constexpr double LEAST = 1 << 24;  // products of a part, two or three tenths of a millisecond
  const double products = double(batch) * double(s.images) * double(s.seen.size()) * double(s.window.size());
  const int64_t parts = std::min({units, 2 * pool.num_threads(), int64_t(products / LEAST)});
  if (parts < 2) return f(0, units);
  each(pool, parts, [&](int64_t part) { f(part * units / parts, (part + 1) * units / parts); });
}

// For images of which those of a batch follow each other.
template <typename Function>
void by_image(ffi::ThreadPool& pool, const Sizes& s, Function f, const Numbers& from, const Numbers& filters, Made to) {
  const auto source = given(from, 4), weights = given(filters, 4);
  const auto result = made(to, 4);
  const auto& batch = result.batch;
  const int64_t count = many(batch);
  shared(pool, s, count, count * s.images, [&](int64_t first, int64_t end) {
    for (int64_t unit = first; unit < end;) {
      const int64_t k = unit / s.images, image = unit % s.images;
      Sizes some = s;
      some.images = std::min(s.images - image, end - unit);
      f(some, source.at(k, batch) + source.size / s.images * image, weights.at(k, batch),
        result.at(k, batch) + result.size / s.images * image);
      unit += some.images;
    }
  });
}

ffi::Error to_seen(ffi::ThreadPool pool, std::string_view set, int64_t stride, int64_t padding, Numbers image,
                   Numbers filters, Made seen) {
  return tried([&] {
    const Sizes s = sizes(image.dimensions(), filters.dimensions(), seen->dimensions(), stride, padding);
    by_image(pool, s, choose(std::string(set)).to_seen, image, filters, seen);
  });
}

ffi::Error to_image(ffi::ThreadPool pool, std::string_view set, int64_t stride, int64_t padding, Numbers seen,
                    Numbers filters, Made image) {
  return tried([&] {
    const Sizes s = sizes(image->dimensions(), filters.dimensions(), seen.dimensions(), stride, padding);
    by_image(pool, s, choose(std::string(set)).to_image, seen, filters, image);
  });
}

ffi::Error to_filters(ffi::ThreadPool pool, std::string_view set, int64_t stride, int64_t padding, Numbers image,
                      Numbers seen, Made filters) {
  return tried([&] {
    const Sizes s = sizes(image.dimensions(), filters->dimensions(), seen.dimensions(), stride, padding);
    const auto one = given(image, 4), two = given(seen, 4);
    const auto result = made(filters, 4);
    const auto& batch = result.batch;
    const int64_t count = many(batch), window = s.window.high * s.window.wide;
    const Kernel& kernel = choose(std::string(set));
    shared(pool, s, count, count * window, [&](int64_t first, int64_t end) {
      for (int64_t unit = first; unit < end; unit++) {
        const int64_t k = unit / window;
        kernel.to_filters(s, one.at(k, batch), two.at(k, batch), result.at(k, batch), unit % window);
      }
    });
  });
}

#define AIGA_BIND                                                                        \
  ffi::Ffi::Bind()                                                                       \
      .Ctx<ffi::ThreadPool>()                                                            \
      .Attr<std::string_view>("instruction_set").Attr<int64_t>("stride").Attr<int64_t>("padding") \
      .Arg<Numbers>().Arg<Numbers>().Ret<Numbers>()
XLA_FFI_DEFINE_HANDLER(seen_handler, to_seen, AIGA_BIND);
XLA_FFI_DEFINE_HANDLER(image_handler, to_image, AIGA_BIND);
XLA_FFI_DEFINE_HANDLER(filters_handler, to_filters, AIGA_BIND);

}  // namespace

NB_MODULE(_convolution, m) {
  m.doc() = "The native kernel of convolutions; use it through aiga.brains.convolution.";
  m.def("instruction_sets", instruction_sets);
  m.def("handlers", [] {  // for XLA, by name
    nb::dict all;
    all["to_seen"] = nb::capsule(reinterpret_cast<void*>(seen_handler));
    all["to_image"] = nb::capsule(reinterpret_cast<void*>(image_handler));
    all["to_filters"] = nb::capsule(reinterpret_cast<void*>(filters_handler));
    return all;
  });
}
