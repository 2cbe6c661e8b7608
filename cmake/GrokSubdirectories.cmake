# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# grok_add_subdirectories(dir...): in order.
function(grok_add_subdirectories)
  foreach(dir IN LISTS ARGN)
    add_subdirectory(${dir})
  endforeach()
endfunction()
