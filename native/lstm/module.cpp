// The Python module aiga._lstm: the handlers that XLA calls, which find the rows in what they are given.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "../common/dispatch.h"
#include "../common/xla.h"
#include "lstm.h"

namespace aiga::lstm { AIGA_KERNELS }

namespace nb = nanobind;
using namespace aiga;
using namespace aiga::lstm;

namespace {

ffi::Error forward(std::string_view instruction_set, Numbers matrix, Numbers bias, Numbers output, Numbers cell,
                   Numbers signals, Flags begun, Made outputs, Made cells, Made gates) {
  return tried([&] {
    const auto dims = signals.dimensions();
    Sizes sizes{last(dims, 2), last(dims, 1), last(dims, 0), last(output.dimensions(), 0)};
    const auto w = given(matrix, 2), b = given(bias, 1), o = given(output, 2), c = given(cell, 2);
    const auto x = given(signals, 3);
    const auto fresh = given(begun, 2);
    const auto to_o = made(outputs, 3), to_c = made(cells, 3), to_g = made(gates, 3);
    const auto& all = to_o.batch;
    int64_t together = 1;  // neighbours in the batch that are no more than further rows of a single step
    for (size_t k = all.size(); sizes.steps == 1 && !fresh.size && k-- > 0; together *= all[k])
      if (w.batch[k] != 1 || b.batch[k] != 1 || o.batch[k] != all[k] || c.batch[k] != all[k] || x.batch[k] != all[k])
        break;
    sizes.rows *= together;
    const Kernel& kernel = choose(std::string(instruction_set));
    for (int64_t k = 0; k < many(all); k += together)
      kernel.forward(sizes, {w.at(k, all), b.at(k, all), o.at(k, all), c.at(k, all), x.at(k, all), fresh.at(k, all),
                             to_o.at(k, all), to_c.at(k, all), to_g.at(k, all)});
  });
}

ffi::Error backward(std::string_view instruction_set, Numbers turned, Flags begun, Numbers before, Numbers cells,
                    Numbers gates, Numbers slopes, Made of_gates, Made of_output, Made of_cell) {
  return tried([&] {
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
  });
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
