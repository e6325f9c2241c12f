// Which of the objects that were compiled once per instruction set this processor can run, and the one of a name.
#pragma once
#include <stdexcept>
#include <string>
#include <vector>

namespace aiga {

#if defined(__x86_64__)
// Best first.
template <typename Kernel>
std::vector<const Kernel*> runnable(const Kernel& sse, const Kernel& avx2, const Kernel& avx512) {
  std::vector<const Kernel*> all;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
    all.push_back(&avx512);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(&avx2);
  all.push_back(&sse);
  return all;
}
#endif

// The best of them where `name` is empty.
template <typename Kernel>
const Kernel& chosen(const std::vector<const Kernel*>& kernels, const std::string& name) {
  std::string known;
  for (const Kernel* k : kernels) {
    if (name.empty() || name == k->name) return *k;
    known += (known.empty() ? "" : ", ") + std::string(k->name);
  }
  throw std::invalid_argument("instruction_set: one of " + known + ", not " + name);
}

}  // namespace aiga
