// The Mersenne Twister mt19937 by blocks, many of its words at once.
//
// Nothing here depends on PyTorch, whose generator lends its state; see slopes.h.
//
// Loops are written with vectors of a fixed size, which g++ and clang translate for any processor.
// A function that is compiled for more than the architecture's oldest processor has a target of
// its own; whoever calls it looks whether it runs here.

#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define GRADSMITH_X86 1
#define GRADSMITH_AVX2 __attribute__((target("avx2,popcnt")))
#define GRADSMITH_AVX512 __attribute__((target("avx512f,popcnt")))
#include <immintrin.h>
#endif
// What becomes part of functions with various targets.
#define GRADSMITH_INLINE __attribute__((always_inline)) inline

namespace gradsmith {

template <size_t bytes>
struct VectorsOf {
  using Shorts [[gnu::vector_size(bytes / 2)]] = uint16_t;
  using Words [[gnu::vector_size(bytes)]] = uint32_t;
  using Longs [[gnu::vector_size(bytes)]] = uint64_t;
  using Floats [[gnu::vector_size(bytes)]] = float;
  using Doubles [[gnu::vector_size(bytes)]] = double;
  using HalfWords [[gnu::vector_size(bytes / 2)]] = uint32_t;
  using HalfFloats [[gnu::vector_size(bytes / 2)]] = float;
};

template <class Vector, class T>
GRADSMITH_INLINE void load(Vector& vector, const T* from) {
  std::memcpy(&vector, from, sizeof vector);
}

template <class Vector, class T>
GRADSMITH_INLINE void store(T* to, const Vector& vector) {
  std::memcpy(to, &vector, sizeof vector);
}

constexpr int64_t kBlock = 624;  // words of a state
constexpr int64_t kAhead = 397;  // the other word on which one depends, in the state before
constexpr int64_t kStep = 16;  // words: a multiple of what any vector holds

// A state, and where in it the next word is. A few of its first words stand behind it again, as
// if it went on there.
struct Twister {
  alignas(64) std::array<uint32_t, kBlock + kStep> state;
  int64_t next;
  int64_t end;  // of the words that are taken before the next block
};

// A word of the state as it is given out.
template <class Word>
GRADSMITH_INLINE void temper(Word& word) {
  word ^= word >> 11;
  word ^= (word << 7) & 0x9d2c5680u;
  word ^= (word << 15) & 0xefc60000u;
  word ^= word >> 18;
}

template <class Vectors>
GRADSMITH_INLINE void twist(
    uint32_t* state, uint32_t* words, int64_t begin, int64_t end, int64_t other) {
  using Words = typename Vectors::Words;
  constexpr int64_t lanes = sizeof(Words) / sizeof(uint32_t);
  for (auto i = begin; i < end; i += lanes) {
    Words word, after, far;
    load(word, state + i);
    load(after, state + i + 1);
    load(far, state + i + other);
    const Words joined = (word & 0x80000000u) | (after & 0x7fffffffu);
    word = far ^ (joined >> 1) ^ (-(after & 1u) & 0x9908b0dfu);
    store(state + i, word);
    temper(word);
    store(words + i, word);
  }
}

// Puts the next state in place of one, and its words as they are given out.
//
// A word depends on its place, the one behind and the one kAhead further, of which the state goes
// on with its own new words. So it may be computed in place and from the front; once the first
// words are there they are put behind the end, where vectors reach over it.
template <class Vectors>
GRADSMITH_INLINE void next_block(uint32_t* state, uint32_t* words) {
  constexpr auto turn = (kBlock - kAhead + kStep - 1) / kStep * kStep;
  twist<Vectors>(state, words, 0, kStep, kAhead);
  std::memcpy(state + kBlock, state, kStep * sizeof *state);
  twist<Vectors>(state, words, kStep, turn, kAhead);
  twist<Vectors>(state, words, turn, kBlock, kAhead - kBlock);
}

// Pairs of words as numbers x/2^53 from 0 to 1, x being the last 53 bits of both, the first word in
// front; and these between two bounds. Rounded to T, whose bits they are.
template <class Vectors, class T, class Bits>
GRADSMITH_INLINE void between(
    const uint32_t* words, Bits* numbers, int64_t count, double lower, double size) {
  using Longs = typename Vectors::Longs;
  using Doubles = typename Vectors::Doubles;
  constexpr bool swapped = std::endian::native == std::endian::little;
  constexpr int64_t lanes = sizeof(Longs) / sizeof(uint64_t);
  for (int64_t i = 0; i < count; i += lanes) {
    Longs pair;
    load(pair, words + 2 * i);
    const Longs first = swapped ? pair & 0xffffffffu : pair >> 32;
    const Longs second = swapped ? pair >> 32 : pair & 0xffffffffu;
    // The bits of 2^84 + 2^32 * first and of 2^52 + second; all of this is exact.
    const auto high = (Doubles)((first & 0x1fffffu) | 0x4530000000000000u);
    const auto low = (Doubles)(second | 0x4330000000000000u);
    const Doubles x = high - 0x1.00000001p84 + low;
#ifdef GRADSMITH_X86
    // Not fused, as PyTorch, compiled for processors that cannot, does not fuse it either. Of two
    // statements clang does not.
    Doubles product = x * 0x1p-53 * size;
#ifndef __clang__
    asm("" : "+x"(product));
#endif
    const Doubles number = product + lower;
#else
    const Doubles number = x * 0x1p-53 * size + lower;
#endif
    if constexpr (sizeof(Bits) == sizeof(double)) {
      store(numbers + i, number);
    } else {
      using Half = typename Vectors::HalfWords;
      auto half = (Half)__builtin_convertvector(number, typename Vectors::HalfFloats);
      if constexpr (sizeof(T) == 2) {  // bfloat16: to nearest, ties to even
        half = (half + 0x7fffu + ((half >> 16) & 1u)) >> 16;
      }
      store(numbers + i, half);
    }
  }
}

}  // namespace gradsmith
