// Memory of large results, kept for the next ones; see backends/pages.py for what new memory costs.
//
// What is kept never makes our results take more memory than they once took at the same time. And
// but for the last to come back Linux may have the pages (MADV_FREE), so that nobody goes short.

#pragma once

#include "settings.h"

#include <ATen/EmptyTensor.h>
#include <ATen/Utils.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <mutex>
#include <vector>

#ifdef __linux__
#include <pthread.h>
#include <sys/mman.h>
#endif

namespace gradsmith {

#ifdef __linux__

constexpr size_t kLargePage = size_t{1} << 21;
constexpr size_t kSmallStep = size_t{1} << 16;  // of sizes below that of a large page
// To offer memory takes as long as writing some 100 KiB, where other processors must hear of it.
constexpr size_t kNotOffered = size_t{1} << 27;
constexpr size_t kSpare = 8;  // by this part memory may be larger than what it is for

struct Block {
  char* begin;
  size_t size;  // a multiple of large pages, or of smaller steps below that
  bool offered = false;  // to Linux
};

class Pool {
 public:
  // Memory of so many bytes; nothing where the system has none.
  Block* take(size_t bytes) {
    const auto step = bytes < kLargePage ? kSmallStep : kLargePage;
    const auto size = (bytes + step - 1) / step * step;
    const std::lock_guard<std::mutex> guard(mutex_);
    // The last one that came back may still be in the cache.
    const auto found = std::find_if(kept_.rbegin(), kept_.rend(), [size](Block* block) {
      return block->size >= size && block->size - size <= size / kSpare;
    });
    if (found != kept_.rend()) {
      auto* block = removed(std::next(found).base());
      used_ += block->size;
      block->offered = false;
      return block;
    }
    used_ += size;
    most_ = std::max(most_, used_);
    while (!kept_.empty() && used_ + kept_bytes_ > most_) {
      auto* oldest = removed(kept_.begin());
      munmap(oldest->begin, oldest->size);
      delete oldest;
    }
    auto* begin = mapped(size);
    if (!begin) {
      used_ -= size;
      return nullptr;
    }
    // Beyond the last whole page of what is asked for nothing is ever written in large pages.
    madvise(begin, bytes / kLargePage * kLargePage, MADV_HUGEPAGE);
    return new Block{begin, size};
  }

  void give(Block* block) {
    const std::lock_guard<std::mutex> guard(mutex_);
    used_ -= block->size;
    kept_bytes_ += block->size;
    not_offered_ += block->size;
    kept_.push_back(block);
    for (auto* old : kept_) {
      if (not_offered_ <= kNotOffered) {
        break;
      }
      if (!old->offered) {
        madvise(old->begin, old->size, MADV_FREE);
        old->offered = true;
        not_offered_ -= old->size;
      }
    }
  }

  static Pool& shared() {
    static auto* pool = made();  // results may outlive everything else
    return *pool;
  }

 private:
  std::mutex mutex_;
  std::vector<Block*> kept_;  // the one that came back first in front
  size_t used_ = 0;
  size_t kept_bytes_ = 0;
  size_t not_offered_ = 0;  // of what is kept
  size_t most_ = 0;  // that were ever used at the same time

  static Pool* made() {
    // A child process must not inherit the lock from a thread that it does not have.
    pthread_atfork([] { shared().mutex_.lock(); }, [] { shared().mutex_.unlock(); },
                   [] { shared().mutex_.unlock(); });
    return new Pool;
  }

  // New memory that begins a large page.
  static char* mapped(size_t size) {
    const auto whole = size + kLargePage;
    auto* start = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
      return nullptr;
    }
    auto* first = static_cast<char*>(start);
    const auto before = (kLargePage - reinterpret_cast<uintptr_t>(first) % kLargePage) % kLargePage;
    if (before) {
      munmap(first, before);
    }
    munmap(first + before + size, kLargePage - before);
    return first + before;
  }

  // A block that is kept no longer.
  Block* removed(std::vector<Block*>::iterator place) {
    auto* block = *place;
    kept_.erase(place);
    kept_bytes_ -= block->size;
    not_offered_ -= block->offered ? 0 : block->size;
    return block;
  }
};

void give_back(void* context) {
  auto* block = static_cast<Block*>(context);
  c10::profiledCPUMemoryReporter().Delete(block->begin);
  Pool::shared().give(block);
}

// A new tensor of these strides in memory of the pool; none where that is not for it.
Tensor pooled(at::IntArrayRef shape, at::IntArrayRef strides, at::ScalarType dtype) {
  const auto type = c10::scalarTypeToTypeMeta(dtype);
  const auto bytes = at::detail::computeStorageNbytes(shape, strides, type.itemsize());
  // Whoever brought an allocator of their own wants it used.
  if (bytes < static_cast<size_t>(settings.kept) ||
      c10::GetCPUAllocator() != c10::GetDefaultCPUAllocator()) {
    return {};
  }
  auto* block = Pool::shared().take(bytes);
  if (!block) {
    return {};
  }
  c10::profiledCPUMemoryReporter().New(block->begin, bytes);
  auto storage = c10::make_intrusive<c10::StorageImpl>(
      c10::StorageImpl::use_byte_size_t(),
      bytes,
      c10::DataPtr(block->begin, block, &give_back, c10::Device(c10::DeviceType::CPU)),
      c10::GetCPUAllocator(),
      /*resizable=*/true);
  const c10::DispatchKeySet keys(c10::DispatchKey::CPU);
  auto made = at::detail::make_tensor_base<c10::TensorImpl>(std::move(storage), keys, type);
  made.unsafeGetTensorImpl()->set_sizes_and_strides(shape, strides);
  return Tensor(std::move(made));
}

#else

Tensor pooled(at::IntArrayRef, at::IntArrayRef, at::ScalarType) { return {}; }

#endif

}  // namespace gradsmith
