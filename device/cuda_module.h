// What liblockstep_cuda.so exports for this room: included on both sides of its dlopen,
// so that they agree on the types.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lockstep::device {
class Graph;
}

extern "C" {

// The devices' number, and one line about it.
int lockstep_cuda_device_count(char* reason, int reason_size);

// "NVIDIA H200"; empty where there is no such device.
void lockstep_cuda_device_name(int device, char* name, int name_size);

// From here on `allocated` is called for every block that LibTorch's caching allocator
// hands out on any device, and `freed` for every block given back: on the thread that
// does it, inside the allocator's lock. Call it once.
void lockstep_cuda_watch(void (*allocated)(int device, size_t address, size_t bytes),
                         void (*freed)(int device, size_t address));

// LibTorch's caching allocator takes no more bytes than these from the device.
void lockstep_cuda_limit(int device, int64_t bytes);

// Owned by the caller.
lockstep::device::Graph* lockstep_make_cuda_graph();

}  // extern "C"
