# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# grok_add_subdirectories(dir...): those that exist, in order.
function(grok_add_subdirectories)
  foreach(dir IN LISTS ARGN)
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/CMakeLists.txt)
      add_subdirectory(${dir})
    endif()
  endforeach()
endfunction()
