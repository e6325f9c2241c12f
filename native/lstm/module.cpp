// The Python module aiga._lstm: the handlers that XLA calls, which find the rows in what they are given.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "../common/dispatch.h"
#include "lstm.h"
#include "xla/ffi/api/ffi.h"

namespace aiga::lstm { AIGA_KERNELS }

namespace nb = nanobind;
namespace ffi = xla::ffi;
using namespace aiga::lstm;

namespace {

using Numbers = ffi::Buffer<ffi::F32>;
using Made = ffi::ResultBuffer<ffi::F32>;
using Flags = ffi::Buffer<ffi::PRED>;

// An array whose first axes are a batch's: of each either all, or one that stands for all.
template <typename T> struct Batched {
  T* data;
  std::vector<int64_t> batch;
  int64_t size = 1;  // of one of the batch

  template <typename Buffer> Batched(T* data, const Buffer& of, size_t rank) : data(data) {
    const auto dims = of.dimensions();
    for (size_t k = 0; k < dims.size(); k++)
      if (k + rank < dims.size()) batch.push_back(dims[k]);
      else size *= dims[k];
  }
  T* at(int64_t index, const std::vector<int64_t>& whole) const {
    if (!size) return nullptr;
    int64_t place = 0, stride = 1;
    for (size_t k = whole.size(); k-- > 0; index /= whole[k]) {
      if (batch[k] > 1) place += index % whole[k] * stride;
      stride *= batch[k];
    }
    return data + place * size;
  }
};

Batched<const float> given(const Numbers& of, size_t rank) { return {of.typed_data(), of, rank}; }
Batched<const bool> given(const Flags& of, size_t rank) { return {of.typed_data(), of, rank}; }
Batched<float> made(Made of, size_t rank) { return {of->typed_data(), *of, rank}; }

int64_t many(const std::vector<int64_t>& batch) {
  int64_t count = 1;
  for (int64_t each : batch) count *= each;
  return count;
}

int64_t last(ffi::Span<const int64_t> dims, size_t from_behind) { return dims[dims.size() - 1 - from_behind]; }

ffi::Error forward(std::string_view instruction_set, Numbers matrix, Numbers bias, Numbers output, Numbers cell,
                   Numbers signals, Flags begun, Made outputs, Made cells, Made gates) try {
  const auto dims = signals.dimensions();
  Sizes sizes{last(dims, 2), last(dims, 1), last(dims, 0), last(output.dimensions(), 0)};
  const auto w = given(matrix, 2), b = given(bias, 1), o = given(output, 2), c = given(cell, 2), x = given(signals, 3);
  const auto fresh = given(begun, 2);
  const auto to_o = made(outputs, 3), to_c = made(cells, 3), to_g = made(gates, 3);
  const auto& all = to_o.batch;
  int64_t together = 1;  // neighbours in the batch that are no more than further rows of a single step
  for (size_t k = all.size(); sizes.steps == 1 && !fresh.size && k-- > 0; together *= all[k])
    if (w.batch[k] != 1 || b.batch[k] != 1 || o.batch[k] != all[k] || c.batch[k] != all[k] || x.batch[k] != all[k]) break;
  sizes.rows *= together;
  const Kernel& kernel = choose(std::string(instruction_set));
  for (int64_t k = 0; k < many(all); k += together)
    kernel.forward(sizes, {w.at(k, all), b.at(k, all), o.at(k, all), c.at(k, all), x.at(k, all), fresh.at(k, all),
                           to_o.at(k, all), to_c.at(k, all), to_g.at(k, all)});
  return ffi::Error::Success();
} catch (const std::exception& e) {
  return ffi::Error::InvalidArgument(e.what());
}

ffi::Error backward(std::string_view instruction_set, Numbers turned, Flags begun, Numbers before, Numbers cells,
                    Numbers gates, Numbers slopes, Made of_gates, Made of_output, Made of_cell) try {
  const auto dims = slopes.dimensions();
  const Sizes sizes{last(dims, 2), last(dims, 1), 0, last(dims, 0)};
  const auto w = given(turned, 2), held = given(before, 3), grown = given(cells, 3), open = given(gates, 3);
  const auto asked = given(slopes, 3);
  const auto fresh = given(begun, 2);
  const auto to_g = made(of_gates, 3), to_o = made(of_output, 2), to_c = made(of_cell, 2);
  const auto& all = to_g.batch;
  const Kernel& kernel = choose(std::string(instruction_set));
  for (int64_t k = 0; k < many(all); k++)
    kernel.backward(sizes, {w.at(k, all), fresh.at(k, all), held.at(k, all), grown.at(k, all), open.at(k, all),
                            asked.at(k, all), to_g.at(k, all), to_o.at(k, all), to_c.at(k, all)});
  return ffi::Error::Success();
} catch (const std::exception& e) {
  return ffi::Error::InvalidArgument(e.what());
}

XLA_FFI_DEFINE_HANDLER(forward_handler, forward,
                       ffi::Ffi::Bind()
                           .Attr<std::string_view>("instruction_set")
                           .Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Flags>()
                           .Ret<Numbers>().Ret<Numbers>().Ret<Numbers>());
XLA_FFI_DEFINE_HANDLER(backward_handler, backward,
                       ffi::Ffi::Bind()
                           .Attr<std::string_view>("instruction_set")
                           .Arg<Numbers>().Arg<Flags>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>().Arg<Numbers>()
                           .Ret<Numbers>().Ret<Numbers>().Ret<Numbers>());

}  // namespace

NB_MODULE(_lstm, m) {
  m.doc() = "The native kernel of the LSTM; use it through aiga.brains.lstm.";
  m.def("instruction_sets", instruction_sets);
  m.def("handlers", [] {  // for XLA, by name
    nb::dict all;
    all["forward"] = nb::capsule(reinterpret_cast<void*>(forward_handler));
    all["backward"] = nb::capsule(reinterpret_cast<void*>(backward_handler));
    return all;
  });
}
