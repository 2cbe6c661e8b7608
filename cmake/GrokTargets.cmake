# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The three kinds of target in this tree. Include paths are repository paths.

# grok_add_library(NAME source... [LINK target...] [DEPENDS target...] [MLIR])
# MLIR: the library includes MLIR headers and links the shared MLIR and LLVM.
function(grok_add_library name)
  cmake_parse_arguments(ARG "MLIR" "" "LINK;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  grok_configure_target(${name} "${ARG_MLIR}" PUBLIC ${ARG_LINK})
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
endfunction()

# grok_add_tool(NAME source... [LINK target...] [MLIR])
function(grok_add_tool name)
  cmake_parse_arguments(ARG "MLIR" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  grok_configure_target(${name} "${ARG_MLIR}" PRIVATE ${ARG_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  grok_install(${name})
endfunction()

# grok_install(NAME): installs a target; under GROKC_PORTABLE also the shared
# libraries that it needs, all but those of glibc, into lib/ beside bin/.
# DT_RPATH, not DT_RUNPATH: it also holds for what those libraries need.
function(grok_install name)
  if(NOT GROKC_PORTABLE)
    # grokc needs our runtime's library beside it, and MLIR's where it was found.
    set_target_properties(${name} PROPERTIES
      INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}" INSTALL_RPATH_USE_LINK_PATH TRUE)
    install(TARGETS ${name})
    return()
  endif()
  target_link_options(${name} PRIVATE -Wl,--disable-new-dtags)
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS ${name} RUNTIME_DEPENDENCY_SET grokc_carried)
endfunction()

# grok_install_carried(): call once, after all targets.
function(grok_install_carried)
  if(NOT GROKC_PORTABLE)
    return()
  endif()
  set(glibc "^(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|util))\\.so")
  install(RUNTIME_DEPENDENCY_SET grokc_carried PRE_EXCLUDE_REGEXES ${glibc}
          DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

# grok_add_unit_test(NAME source... [LINK target...] [MLIR])
# A GoogleTest program at build/tests/unit/NAME, run by lit.
function(grok_add_unit_test name)
  if(NOT GROKC_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "MLIR" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  grok_configure_target(${name} "${ARG_MLIR}" PRIVATE ${ARG_LINK} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/unit)
  target_compile_definitions(${name} PRIVATE GROKC_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  set_property(GLOBAL APPEND PROPERTY GROKC_UNIT_TESTS ${name})
endfunction()

# grok_add_fuzzer(NAME source... [LINK target...])
# A libFuzzer program at build/fuzz/NAME; only with GROKC_FUZZ.
function(grok_add_fuzzer name)
  if(NOT GROKC_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  grok_configure_target(${name} FALSE PRIVATE ${ARG_LINK})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endfunction()

function(grok_configure_target name mlir visibility)
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}>)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wno-unused-parameter)
  set(extra "")
  if(mlir)
    target_include_directories(${name} SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
    target_compile_definitions(${name} PUBLIC ${LLVM_DEFINITIONS_LIST})
    set(extra MLIR LLVM)
  endif()
  target_link_libraries(${name} ${visibility} ${ARGN} ${extra})
endfunction()
