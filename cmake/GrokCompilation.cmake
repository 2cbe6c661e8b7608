# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# How everything is compiled, whatever the target: compiler cache, sanitizers.

if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(GROKC_CCACHE ccache)
  if(GROKC_CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER ${GROKC_CCACHE})
    set(CMAKE_CXX_COMPILER_LAUNCHER ${GROKC_CCACHE})
  endif()
endif()

if(GROKC_SANITIZE)
  # vptr and function need every library to be built with the same compiler
  # and options; Debian's MLIR is not. Any report ends the program, so that a
  # test sees it as a failure.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr,function
                      -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=address,undefined)
endif()
if(GROKC_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()
