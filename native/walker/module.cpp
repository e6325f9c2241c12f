#include <nanobind/nanobind.h>

NB_MODULE(_walker, m) { m.doc() = "Walker kernel."; }
