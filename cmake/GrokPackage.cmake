# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What is installed for other projects: the runtime's shared library, its C
# header and a CMake package, used as
#   find_package(grok REQUIRED)
#   target_link_libraries(program PRIVATE grok::runtime)
include(CMakePackageConfigHelpers)

function(grok_install_package)
  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/grok)
  set_target_properties(grok_runtime PROPERTIES EXPORT_NAME runtime)
  if(GROKC_PORTABLE)
    set_target_properties(grok_runtime PROPERTIES INSTALL_RPATH "$ORIGIN")
  endif()
  install(TARGETS grok_runtime EXPORT grok
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    PUBLIC_HEADER DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/grok/runtime
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/grok)
  install(EXPORT grok NAMESPACE grok:: DESTINATION ${package} FILE grok-config.cmake)
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/grok-config-version.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/grok-config-version.cmake DESTINATION ${package})
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
endfunction()
