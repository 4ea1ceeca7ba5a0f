# The programs and graders as `make labs-release` packs them (release.py): stripped by the install,
# with LibTorch looked for in the archive's own build/torch, a link that its Makefile makes.
foreach(group programs graders)
  get_target_property(targets ${group} MANUALLY_ADDED_DEPENDENCIES)
  if(NOT targets)
    continue()
  endif()
  foreach(target ${targets})
    get_target_property(folder ${target} RUNTIME_OUTPUT_DIRECTORY)
    cmake_path(RELATIVE_PATH folder BASE_DIRECTORY ${CMAKE_BINARY_DIR})
    if(folder STREQUAL "tests")
      continue()
    endif()
    set_target_properties(${target} PROPERTIES INSTALL_RPATH "\$ORIGIN/../torch/lib")
    install(TARGETS ${target} RUNTIME DESTINATION build/${folder} COMPONENT labs-release
            EXCLUDE_FROM_ALL)
  endforeach()
endforeach()
