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

// The one of that name, the best of them where it is empty.
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

// For the namespace of a `Kernel`: its objects, those this processor can run, the one of a name, and all names.
#if defined(__x86_64__)
#define AIGA_OBJECTS                                                 \
  namespace sse { extern const Kernel kernel; }                      \
  namespace avx2 { extern const Kernel kernel; }                     \
  namespace avx512 { extern const Kernel kernel; }                   \
  inline std::vector<const Kernel*> best_first() { return aiga::runnable(sse::kernel, avx2::kernel, avx512::kernel); }
#else
#define AIGA_OBJECTS                             \
  namespace neon { extern const Kernel kernel; } \
  inline std::vector<const Kernel*> best_first() { return {&neon::kernel}; }
#endif
#define AIGA_KERNELS                                                                              \
  AIGA_OBJECTS                                                                                    \
  inline const std::vector<const Kernel*>& kernels() {                                            \
    static const std::vector<const Kernel*> all = best_first();                                   \
    return all;                                                                                   \
  }                                                                                               \
  inline const Kernel& choose(const std::string& name) { return aiga::chosen(kernels(), name); }  \
  inline std::vector<std::string> instruction_sets() {                                            \
    std::vector<std::string> names;                                                               \
    for (const Kernel* k : kernels()) names.push_back(k->name);                                   \
    return names;                                                                                 \
  }
