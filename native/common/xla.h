// What XLA gives a kernel that it calls, also under `vmap`.
#pragma once
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace aiga {

namespace ffi = xla::ffi;
using Numbers = ffi::Buffer<ffi::F32>;
using Flags = ffi::Buffer<ffi::PRED>;
using Made = ffi::ResultBuffer<ffi::F32>;

// What XLA is told of work: that it is done, or what it threw.
template <typename Function> ffi::Error tried(Function work) {
  try {
    work();
  } catch (const std::exception& e) {
    return ffi::Error::InvalidArgument(e.what());
  }
  return ffi::Error::Success();
}

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

inline Batched<const float> given(const Numbers& of, size_t rank) { return {of.typed_data(), of, rank}; }
inline Batched<const bool> given(const Flags& of, size_t rank) { return {of.typed_data(), of, rank}; }
inline Batched<float> made(Made of, size_t rank) { return {of->typed_data(), *of, rank}; }

inline int64_t many(const std::vector<int64_t>& batch) {
  int64_t count = 1;
  for (int64_t size : batch) count *= size;
  return count;
}

inline int64_t last(ffi::Span<const int64_t> dims, size_t from_behind) { return dims[dims.size() - 1 - from_behind]; }

// f of 0 to count - 1, by as many threads as are free; all are done when it returns. Whoever calls works too, and waits
// for nothing but what others have begun. What f throws first is thrown when all are done.
template <typename Function> void each(ffi::ThreadPool& pool, int64_t count, const Function& f) {
  struct Work {
    const Function& f;
    const int64_t count;
    std::atomic<int64_t> next{0};
    int64_t done = 0;
    std::exception_ptr failed;
    std::mutex mutex;
    std::condition_variable all_done;

    Work(const Function& f, int64_t count) : f(f), count(count) {}
    void take() {
      for (int64_t k = next++; k < count; k = next++) {
        std::exception_ptr thrown;
        try {
          f(k);
        } catch (...) {
          thrown = std::current_exception();
        }
        std::lock_guard<std::mutex> lock(mutex);
        if (!failed) failed = thrown;
        if (++done == count) all_done.notify_all();
      }
    }
  };
  // Threads that come when all is done find that out from what outlives this call.
  const auto work = std::make_shared<Work>(f, count);
  for (int64_t k = 1; k < std::min(count, pool.num_threads()); k++) pool.Schedule([work] { work->take(); });
  work->take();
  std::unique_lock<std::mutex> lock(work->mutex);
  work->all_done.wait(lock, [&] { return work->done == count; });
  if (work->failed) std::rethrow_exception(work->failed);
}

}  // namespace aiga
