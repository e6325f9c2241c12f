// What a file that is compiled once per instruction set knows about its own, AIGA_ISA.
#pragma once

#define AIGA_STRING_(x) #x
#define AIGA_STRING(x) AIGA_STRING_(x)
#define AIGA_NAME AIGA_STRING(AIGA_ISA)

// Bytes of a vector register.
#if defined(__AVX512F__)
#define AIGA_REGISTER 64
#elif defined(__AVX2__)
#define AIGA_REGISTER 32
#else
#define AIGA_REGISTER 16
#endif
