# One CMake library per room, linking just what the room may use.
#
#   lockstep_room(data SOURCES a.cpp b.cpp USES device LINKS ZLIB::ZLIB [TORCH])
#   lockstep_test(data idx_test.cpp [SANITIZE] [USES more rooms] [LABELS slow]
#                 [TIMEOUT seconds] [PROCESSORS 2] [WAITS])
#   lockstep_program(single_gpu main.cpp USES single_gpu)
#
# TORCH says that a room compiles against LibTorch; it then takes the one precompiled header.
# PROCESSORS is how many cores a test keeps busy, WAITS that it sleeps most of its time; ctest is
# told half cores, so that `ctest -j N` with N twice the cores, or a little more, runs others beside
# one that waits.
# In a sanitizer build (LOCKSTEP_SANITIZE) only tests marked SANITIZE are built, with what
# they need.

# See host/quick_end.cpp. The sanitizers have something to say at the end.
function(lockstep_ends_quickly target)
  if(LOCKSTEP_SANITIZING)
    return()
  endif()
  if(NOT TARGET lockstep_quick_end)
    add_library(lockstep_quick_end OBJECT ${CMAKE_SOURCE_DIR}/host/quick_end.cpp)
    target_link_libraries(lockstep_quick_end PRIVATE lockstep_flags)
  endif()
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:lockstep_quick_end>)
endfunction()

function(_lockstep_torch target)
  target_link_libraries(${target} PUBLIC LibTorch::cpu)
  lockstep_precompiled(${target})
endfunction()

function(lockstep_room name)
  cmake_parse_arguments(ROOM "TORCH" "" "SOURCES;USES;LINKS" ${ARGN})
  add_library(lockstep_${name} STATIC ${ROOM_SOURCES})
  list(TRANSFORM ROOM_USES PREPEND lockstep_)
  target_link_libraries(lockstep_${name} PUBLIC lockstep_flags ${ROOM_USES} ${ROOM_LINKS})
  set_target_properties(lockstep_${name} PROPERTIES EXCLUDE_FROM_ALL ${LOCKSTEP_SANITIZING})
  if(ROOM_TORCH)
    _lockstep_torch(lockstep_${name})
  endif()
  set_property(TARGET lockstep_${name} PROPERTY LOCKSTEP_TORCH ${ROOM_TORCH})
endfunction()

function(lockstep_test room file)
  cmake_parse_arguments(TEST "SANITIZE;TORCH;WAITS" "TIMEOUT;PROCESSORS" "USES;LINKS;LABELS" ${ARGN})
  if(LOCKSTEP_SANITIZING AND NOT TEST_SANITIZE)
    return()
  endif()
  get_filename_component(name ${file} NAME_WE)
  add_executable(${name} ${file})
  list(TRANSFORM TEST_USES PREPEND lockstep_)
  if(TARGET lockstep_${room})
    list(PREPEND TEST_USES lockstep_${room})
    get_target_property(torch lockstep_${room} LOCKSTEP_TORCH)
  endif()
  target_link_libraries(${name} PRIVATE ${TEST_USES} ${TEST_LINKS} GTest::gtest_main)
  if(torch OR TEST_TORCH)
    _lockstep_torch(${name})
  endif()
  lockstep_ends_quickly(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 120)
  endif()
  if(NOT TEST_PROCESSORS)
    set(TEST_PROCESSORS 1)
  endif()
  math(EXPR half_cores "2 * ${TEST_PROCESSORS}")
  if(TEST_WAITS)
    set(half_cores 1)
  endif()
  # Memory that the cards keep hides what is used after it was freed.
  set(cache "")
  if(LOCKSTEP_SANITIZE STREQUAL "address")
    set(cache ";LOCKSTEP_NO_MEMORY_CACHING=1")
  endif()
  # Threads that wait for each other sleep (OMP_WAIT_POLICY): ranks take turns on busy cores,
  # and so do tests beside each other.
  add_test(NAME ${room}/${name} COMMAND ${name})
  set_tests_properties(
    ${room}/${name} PROPERTIES TIMEOUT ${TEST_TIMEOUT} PROCESSORS ${half_cores} LABELS "${TEST_LABELS}"
    ENVIRONMENT "LOCKSTEP_BIN=${CMAKE_BINARY_DIR}/bin;LOCKSTEP_SOURCE=${CMAKE_SOURCE_DIR};LOCKSTEP_PYTHON=${LOCKSTEP_PYTHON_ENV}/bin/python;PYTHONPATH=${LOCKSTEP_TEST_PACKAGES};TSAN_OPTIONS=ignore_noninstrumented_modules=1;OMP_WAIT_POLICY=PASSIVE${cache}")
endfunction()

function(lockstep_program name file)
  cmake_parse_arguments(PROGRAM "TORCH" "" "USES;LINKS" ${ARGN})
  if(LOCKSTEP_SANITIZING)
    return()
  endif()
  # The target's name keeps clear of the room's library and of CMake's own target names.
  add_executable(program_${name} ${file})
  list(TRANSFORM PROGRAM_USES PREPEND lockstep_)
  target_link_libraries(program_${name} PRIVATE lockstep_flags ${PROGRAM_USES} ${PROGRAM_LINKS})
  if(PROGRAM_TORCH)
    _lockstep_torch(program_${name})
  endif()
  lockstep_ends_quickly(program_${name})
  add_dependencies(programs program_${name})
  set_target_properties(
    program_${name} PROPERTIES OUTPUT_NAME ${name}
                               RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()
