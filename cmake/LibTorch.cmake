# LibTorch, CUDA's headers and NCCL out of the PyPI wheels, without a CUDA toolkit.
#
# find_package(Torch) demands a toolkit and breaks C++20 under CMake 3.25, so these are
# imported targets of our own:
#   LibTorch::cpu    torch_cpu and c10: everything but CUDA; programs start in 0.2 s.
#   LibTorch::cuda   torch_cuda, c10_cuda, NCCL and the CUDA runtime on top (LOCKSTEP_CUDA=ON).
#   NVML::header     nvml.h alone: its library comes with the driver (LOCKSTEP_CUDA=ON).

file(SHA256 ${CMAKE_SOURCE_DIR}/requirements.txt _hash)
string(SUBSTRING ${_hash} 0 16 _hash)
if(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(_cache $ENV{XDG_CACHE_HOME}/lockstep)
else()
  set(_cache $ENV{HOME}/.cache/lockstep)
endif()
set(LOCKSTEP_PYTHON_ENV ${_cache}/env-${_hash})
file(SHA256 ${CMAKE_SOURCE_DIR}/requirements-test.txt _hash)
string(SUBSTRING ${_hash} 0 16 _hash)
set(LOCKSTEP_TEST_PACKAGES ${_cache}/test-${_hash}) # PYTHONPATH of tests written in Python
set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
             ${CMAKE_SOURCE_DIR}/requirements.txt ${CMAKE_SOURCE_DIR}/requirements-test.txt)

# A folder that was found follows requirements.txt; one that the user gave stays.
if("${LOCKSTEP_TORCH_DIR}" STREQUAL "${LOCKSTEP_TORCH_DIR_FOUND}")
  unset(LOCKSTEP_TORCH_DIR CACHE)
endif()
file(GLOB _torch ${LOCKSTEP_PYTHON_ENV}/lib/python3*/site-packages/torch)
set(LOCKSTEP_TORCH_DIR_FOUND "${_torch}" CACHE INTERNAL "")
set(LOCKSTEP_TORCH_DIR "${_torch}" CACHE PATH "The `torch` folder of a torch wheel")

if(NOT EXISTS "${LOCKSTEP_TORCH_DIR}/include/torch/version.h"
   AND NOT EXISTS "${LOCKSTEP_TORCH_DIR}/include/torch/csrc/api/include/torch/version.h")
  message(FATAL_ERROR "No LibTorch at LOCKSTEP_TORCH_DIR='${LOCKSTEP_TORCH_DIR}'; run "
                      "`make setup`, or give the `torch` folder of a torch wheel")
endif()
get_filename_component(_site ${LOCKSTEP_TORCH_DIR} DIRECTORY)

add_library(LibTorch::cpu INTERFACE IMPORTED GLOBAL)
target_include_directories(
  LibTorch::cpu SYSTEM
  INTERFACE ${LOCKSTEP_TORCH_DIR}/include
            ${LOCKSTEP_TORCH_DIR}/include/torch/csrc/api/include)
target_compile_definitions(LibTorch::cpu INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
target_link_libraries(LibTorch::cpu INTERFACE ${LOCKSTEP_TORCH_DIR}/lib/libtorch_cpu.so
                                              ${LOCKSTEP_TORCH_DIR}/lib/libc10.so)

if(LOCKSTEP_CUDA)
  set(_cuda ${_site}/nvidia/cu13)
  set(_nccl ${_site}/nvidia/nccl)
  foreach(_needed ${LOCKSTEP_TORCH_DIR}/lib/libtorch_cuda.so
                  ${_cuda}/include/cuda_runtime_api.h ${_cuda}/include/nvml.h
                  ${_cuda}/include/crt/host_defines.h ${_cuda}/include/cccl/nv/target ${_cuda}/lib/libcudart.so.13
                  ${_nccl}/include/nccl.h ${_nccl}/lib/libnccl.so.2)
    if(NOT EXISTS ${_needed})
      message(FATAL_ERROR "LOCKSTEP_CUDA=ON needs ${_needed}, which the wheels beside "
                          "LOCKSTEP_TORCH_DIR do not hold; try -DLOCKSTEP_CUDA=OFF")
    endif()
  endforeach()
  add_library(LibTorch::cuda INTERFACE IMPORTED GLOBAL)
  target_include_directories(LibTorch::cuda SYSTEM INTERFACE ${_cuda}/include
                                                             ${_cuda}/include/cccl
                                                             ${_nccl}/include)
  target_compile_definitions(LibTorch::cuda INTERFACE USE_C10D_NCCL)
  target_link_libraries(
    LibTorch::cuda
    INTERFACE LibTorch::cpu -Wl,--no-as-needed ${LOCKSTEP_TORCH_DIR}/lib/libtorch_cuda.so
              ${LOCKSTEP_TORCH_DIR}/lib/libc10_cuda.so ${_nccl}/lib/libnccl.so.2
              ${_cuda}/lib/libcudart.so.13 -Wl,--as-needed)
  add_library(NVML::header INTERFACE IMPORTED GLOBAL)
  target_include_directories(NVML::header SYSTEM INTERFACE ${_cuda}/include)
endif()
