// Random numbers for those elements of an input that are not positive.
//
// A block of numbers is made, then of a chunk of the input it is found which elements need one,
// then numbers are put there. No step has a branch for each element: signs are random.

#pragma once

#include "twister.h"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace gradsmith {

constexpr int64_t kChunk = 512;  // elements of the input
constexpr int64_t kPairs = kBlock / 2;  // numbers of a block

// What an element is while it is chosen, and what 1 is. bfloat16 is taken as the integer that it
// is stored as, and chosen among twice as wide.
template <class T>
struct Chosen;
template <>
struct Chosen<float> {
  using Bits = uint32_t;
  static constexpr Bits one = 0x3f800000;
};
template <>
struct Chosen<double> {
  using Bits = uint64_t;
  static constexpr Bits one = 0x3ff0000000000000;
};
template <>
struct Chosen<uint16_t> {
  using Bits = uint32_t;
  static constexpr Bits one = 0x3f80;
};
template <class T>
using Bits = typename Chosen<T>::Bits;

// All ones for elements that are not positive, else zeros; how many there are.
template <class Vectors, class T>
GRADSMITH_INLINE int64_t find(const T* input, Bits<T>* chosen, int64_t n) {
  constexpr bool wide = sizeof(T) == sizeof(double);
  using Masks = std::conditional_t<wide, typename Vectors::Longs, typename Vectors::Words>;
  using Values = std::conditional_t<wide, typename Vectors::Doubles, typename Vectors::Floats>;
  constexpr int64_t lanes = sizeof(Masks) / sizeof(Bits<T>);
  Masks counts{};
  for (int64_t i = 0; i < n; i += lanes) {
    Values values;
    if constexpr (sizeof(T) == 2) {
      typename Vectors::Shorts halves;
      load(halves, input + i);
      values = (Values)(__builtin_convertvector(halves, Masks) << 16);
    } else {
      load(values, input + i);
    }
    const auto mask = (Masks)(values <= Values{});
    store(chosen + i, mask);
    counts -= mask;
  }
  int64_t count = 0;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    count += static_cast<int64_t>(counts[lane]);
  }
  return count;
}

// The steps for some kind of processor. Numbers of elements are multiples of kStep; behind numbers
// to be placed there may be read more.
template <class T>
struct Steps {
  void (*next_block)(uint32_t* state, uint32_t* words);
  void (*between)(const uint32_t*, Bits<T>* numbers, int64_t count, double lower, double size);
  int64_t (*find)(const T* input, Bits<T>* chosen, int64_t n);
  void (*place)(const Bits<T>* chosen, const Bits<T>* numbers, T* slopes, int64_t n);
};

template <class T>
struct OnAny {
  static void next(uint32_t* state, uint32_t* words) {
    next_block<VectorsOf<16>>(state, words);
  }

  static void scale(
      const uint32_t* words, Bits<T>* numbers, int64_t count, double lower, double size) {
    between<VectorsOf<16>, T>(words, numbers, count, lower, size);
  }

  static int64_t choose(const T* input, Bits<T>* chosen, int64_t n) {
    return find<VectorsOf<16>>(input, chosen, n);
  }

  static void place(const Bits<T>* chosen, const Bits<T>* numbers, T* slopes, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      const auto mask = chosen[i];
      const auto bits = (*numbers & mask) | (Chosen<T>::one & ~mask);
      if constexpr (sizeof(T) == 2) {
        slopes[i] = static_cast<T>(bits);
      } else {
        slopes[i] = std::bit_cast<T>(bits);
      }
      numbers += mask & 1;
    }
  }

  static constexpr Steps<T> steps = {next, scale, choose, place};
};

#ifdef GRADSMITH_X86

// For each choice among eight words which of the following ones each gets.
struct Ranks {
  alignas(64) std::array<std::array<uint8_t, 8>, 256> of{};

  constexpr Ranks() {
    for (unsigned choice = 0; choice < of.size(); ++choice) {
      uint8_t rank = 0;
      for (unsigned i = 0; i < 8; ++i) {
        of[choice][i] = rank;
        rank += choice >> i & 1;
      }
    }
  }
};
constexpr Ranks kRanks;

template <class T>
struct OnAvx2 {
  GRADSMITH_AVX2 static void next(uint32_t* state, uint32_t* words) {
    next_block<VectorsOf<32>>(state, words);
  }

  GRADSMITH_AVX2 static void scale(
      const uint32_t* words, Bits<T>* numbers, int64_t count, double lower, double size) {
    between<VectorsOf<32>, T>(words, numbers, count, lower, size);
  }

  GRADSMITH_AVX2 static int64_t choose(const T* input, Bits<T>* chosen, int64_t n) {
    return find<VectorsOf<32>>(input, chosen, n);
  }

  // A double is two words, both chosen or neither.
  GRADSMITH_AVX2 static void place(
      const Bits<T>* chosen, const Bits<T>* numbers, T* slopes, int64_t n) {
    constexpr int64_t lanes = 32 / sizeof(Bits<T>);
    const auto one = sizeof(T) == 8 ? _mm256_set1_epi64x(Chosen<T>::one)
                                    : _mm256_set1_epi32(static_cast<int>(Chosen<T>::one));
    const auto* words = reinterpret_cast<const char*>(numbers);
    for (int64_t i = 0; i < n; i += lanes) {
      const auto mask = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(chosen + i));
      const auto choice = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(mask)));
      const auto* ranks = reinterpret_cast<const __m128i*>(kRanks.of[choice].data());
      const auto following = _mm256_permutevar8x32_epi32(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)),
          _mm256_cvtepu8_epi32(_mm_loadl_epi64(ranks)));
      const auto bits = _mm256_blendv_epi8(one, following, mask);
      if constexpr (sizeof(T) == 2) {
        const auto packed = _mm_packus_epi32(
            _mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(slopes + i), packed);
      } else {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(slopes + i), bits);
      }
      words += sizeof(uint32_t) * static_cast<unsigned>(__builtin_popcount(choice));
    }
  }

  static constexpr Steps<T> steps = {next, scale, choose, place};
};

template <class T>
struct OnAvx512 {
  GRADSMITH_AVX512 static void next(uint32_t* state, uint32_t* words) {
    next_block<VectorsOf<64>>(state, words);
  }

  GRADSMITH_AVX512 static void scale(
      const uint32_t* words, Bits<T>* numbers, int64_t count, double lower, double size) {
    between<VectorsOf<64>, T>(words, numbers, count, lower, size);
  }

  GRADSMITH_AVX512 static int64_t choose(const T* input, Bits<T>* chosen, int64_t n) {
    return find<VectorsOf<64>>(input, chosen, n);
  }

  GRADSMITH_AVX512 static void place(
      const Bits<T>* chosen, const Bits<T>* numbers, T* slopes, int64_t n) {
    constexpr int64_t lanes = 64 / sizeof(Bits<T>);
    for (int64_t i = 0; i < n; i += lanes) {
      const auto mask = _mm512_loadu_si512(chosen + i);
      const auto following = _mm512_loadu_si512(numbers);
      unsigned choice;
      if constexpr (sizeof(T) == 8) {
        const auto one = _mm512_set1_epi64(Chosen<T>::one);
        choice = _mm512_test_epi64_mask(mask, mask);
        const auto placed = _mm512_mask_expand_epi64(one, static_cast<__mmask8>(choice), following);
        _mm512_storeu_si512(slopes + i, placed);
      } else {
        const auto one = _mm512_set1_epi32(static_cast<int>(Chosen<T>::one));
        choice = _mm512_test_epi32_mask(mask, mask);
        const auto placed =
            _mm512_mask_expand_epi32(one, static_cast<__mmask16>(choice), following);
        if constexpr (sizeof(T) == 2) {
          const auto packed = _mm512_cvtepi32_epi16(placed);
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(slopes + i), packed);
        } else {
          _mm512_storeu_si512(slopes + i, placed);
        }
      }
      numbers += __builtin_popcount(choice);
    }
  }

  static constexpr Steps<T> steps = {next, scale, choose, place};
};

#endif

// What is fastest here.
template <class T>
const Steps<T>& steps() {
#ifdef GRADSMITH_X86
  if (__builtin_cpu_supports("popcnt") && __builtin_cpu_supports("avx512f")) {
    return OnAvx512<T>::steps;
  }
  if (__builtin_cpu_supports("popcnt") && __builtin_cpu_supports("avx2")) {
    return OnAvx2<T>::steps;
  }
#endif
  return OnAny<T>::steps;
}

// Numbers in their order. A pair of words may begin in one block and end in the next.
template <class T>
class Numbers {
 public:
  // At most so many will be taken.
  Numbers(Twister& twister, const Steps<T>& steps, int64_t most, double lower, double size)
      : twister_(twister), steps_(steps), lower_(lower), size_(size) {
    const auto left = twister.end - twister.next;
    odd_ = left % 2;
    made_ = std::min(left / 2, most);
    const auto* word = twister.state.data() + twister.next;
    for (int64_t i = 0; i < 2 * made_; ++i) {
      temper(words_[i] = word[i]);
    }
    steps.between(words_.data(), numbers_.data(), made_, lower, size);
    if (odd_) {
      temper(words_[kStep + kBlock - 1] = twister.state[twister.end - 1]);
    }
  }

  // The next ones, at most kChunk; valid until it is called again.
  const Bits<T>* take(int64_t count) {
    if (made_ - taken_ < count) {
      std::copy(numbers_.begin() + taken_, numbers_.begin() + made_, numbers_.begin());
      made_ -= std::exchange(taken_, 0);
      do {
        more();
      } while (made_ < count);
    }
    const auto* first = numbers_.data() + taken_;
    taken_ += count;
    twister_.next += 2 * count;
    return first;
  }

 private:
  void more() {
    words_[kStep - 1] = words_[kStep + kBlock - 1];
    steps_.next_block(twister_.state.data(), words_.data() + kStep);
    const auto* first = words_.data() + kStep - odd_;
    steps_.between(first, numbers_.data() + made_, kPairs, lower_, size_);
    made_ += kPairs;
    twister_.next -= twister_.end;  // of what is left of the block before this is negative
    twister_.end = kBlock;
  }

  Twister& twister_;
  const Steps<T>& steps_;
  const double lower_, size_;
  int64_t odd_;  // whether the last word of a block begins a pair
  int64_t made_;  // numbers
  int64_t taken_ = 0;
  alignas(64) std::array<uint32_t, kStep + kBlock> words_;
  alignas(64) std::array<Bits<T>, kChunk + kPairs + kStep> numbers_;
};

// For each element that is not positive a number from `lower` to `lower + size`, in their order; 1
// for all others.
template <class T>
void draw(
    Twister& twister, const Steps<T>& steps, const T* input, T* slopes, int64_t n, double lower,
    double size) {
  Numbers<T> numbers(twister, steps, n, lower, size);
  std::array<Bits<T>, kChunk> chosen;
  const auto whole = n / kStep * kStep;
  for (int64_t begin = 0; begin < whole; begin += kChunk) {
    const auto elements = std::min(kChunk, whole - begin);
    const auto count = steps.find(input + begin, chosen.data(), elements);
    steps.place(chosen.data(), numbers.take(count), slopes + begin, elements);
  }
  if (whole < n) {
    std::array<T, kStep> last, drawn;
    last.fill(static_cast<T>(Chosen<T>::one));  // positive
    std::copy(input + whole, input + n, last.begin());
    const auto count = steps.find(last.data(), chosen.data(), kStep);
    steps.place(chosen.data(), numbers.take(count), drawn.data(), kStep);
    std::copy_n(drawn.begin(), n - whole, slopes + whole);
  }
}

}  // namespace gradsmith
