# The one precompiled header: LibTorch's headers cost more than all of our code.
#
#   lockstep_precompiled(target)    compiles the target's sources with it; call it last
#
# Note [One precompiled header for all clones]
# clang keeps the full path of the file that a precompiled header was made from, and refuses it
# once that file is gone. CMake's own are made from a file in the build folder, so that a clone
# either misses in ccache or gets a header that breaks when the clone it came from is deleted.
# Ours is made from the wheel's own headers, as an object like any other: same bytes for every
# clone. The link gives it a name that does not depend on where the wheel lies.
#
# Note [What is not in it]
# Not <torch/torch.h>: of each class in a precompiled header whose constructor is inline, every
# source file instantiates the virtual functions anew, and torch.h has all of torch::nn and the
# data sets. With it an empty file takes 2.3 s to compile, with what most rooms need 0.7 s. A
# source that needs more of LibTorch includes that.

if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
  function(lockstep_precompiled target)
  endfunction()
  return()
endif()

# Only includes others: it is included twice, for none of the others can do without it.
set(_header ${LOCKSTEP_TORCH_DIR}/include/ATen/ATen.h)
set(LOCKSTEP_PRECOMPILED ${CMAKE_BINARY_DIR}/torch.pch)

add_library(lockstep_pch OBJECT ${_header})
set_source_files_properties(${_header} PROPERTIES LANGUAGE CXX)
# Without the time stamp it is the same file in every build: ccache hits.
target_compile_options(
  lockstep_pch
  PRIVATE -xc++-header -fpch-instantiate-templates "SHELL:-Xclang -fno-pch-timestamp")
foreach(_included torch/types.h torch/nn/module.h torch/optim/sgd.h torch/csrc/distributed/c10d/Backend.hpp
                  torch/csrc/distributed/c10d/HashStore.hpp gtest/gtest.h nlohmann/json.hpp)
  target_compile_options(lockstep_pch PRIVATE "SHELL:-Xclang -include -Xclang ${_included}")
endforeach()
target_link_libraries(lockstep_pch PRIVATE lockstep_flags LibTorch::cpu)
# A wheel inside this clone goes with it: what is made from it is not for the others.
cmake_path(IS_PREFIX CMAKE_SOURCE_DIR "${LOCKSTEP_TORCH_DIR}" NORMALIZE _inside)
if(_inside)
  set_property(TARGET lockstep_pch PROPERTY CXX_COMPILER_LAUNCHER "")
endif()

add_custom_command(
  OUTPUT ${LOCKSTEP_PRECOMPILED}
  COMMAND ${CMAKE_COMMAND} -E create_symlink $<TARGET_OBJECTS:lockstep_pch>
          ${LOCKSTEP_PRECOMPILED}
  DEPENDS $<TARGET_OBJECTS:lockstep_pch>
  COMMENT "Linking the precompiled header")
add_custom_target(lockstep_precompiled_link DEPENDS ${LOCKSTEP_PRECOMPILED})

function(lockstep_precompiled target)
  target_compile_options(${target} PRIVATE "SHELL:-include-pch ${LOCKSTEP_PRECOMPILED}")
  get_target_property(sources ${target} SOURCES)
  set_property(SOURCE ${sources} APPEND PROPERTY OBJECT_DEPENDS ${LOCKSTEP_PRECOMPILED})
  add_dependencies(${target} lockstep_precompiled_link)
endfunction()
