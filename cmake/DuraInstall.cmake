# What `cmake --install` puts into a prefix besides programs and libraries: headers, the package for find_package(dura), the licence.
#
# In the tree a header is "engine/core/tensor.h". Other projects have folders of the same names, so that installed headers are
# <dura/engine/core/tensor.h>, and the copies include each other as "dura/engine/...": <prefix>/include alone is on a user's path.
set(dura_header_rooms engine layers data weights models)

set(dura_header_copies ${PROJECT_BINARY_DIR}/installed_headers)
list(JOIN dura_header_rooms "|" any_room)
install(CODE "
  file(REMOVE_RECURSE \"${dura_header_copies}\")
  foreach(room ${dura_header_rooms})
    file(GLOB_RECURSE headers RELATIVE \"${PROJECT_SOURCE_DIR}\" \"${PROJECT_SOURCE_DIR}/\${room}/*.h\" \"${PROJECT_SOURCE_DIR}/\${room}/*.inc\")
    # The insides of the devices are private, and so are those of the C interface.
    list(FILTER headers EXCLUDE REGEX \"^(engine/(cpu|cuda|comm/mpi)|models/c)/\")
    foreach(header IN LISTS headers)
      file(READ \"${PROJECT_SOURCE_DIR}/\${header}\" text)
      string(REGEX REPLACE \"(#[ ]*include \\\")(${any_room})/\" \"\\\\1dura/\\\\2/\" text \"\${text}\")
      file(WRITE \"${dura_header_copies}/dura/\${header}\" \"\${text}\")
    endforeach()
  endforeach()" COMPONENT development)
install(DIRECTORY ${dura_header_copies}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)

# Packages have these in folders of their own (DuraPackages.cmake).
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT papers)
install(DIRECTORY docs/examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT papers)

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/dura)
configure_package_config_file(cmake/dura-config.cmake.in ${PROJECT_BINARY_DIR}/dura-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/dura-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/dura-config.cmake ${PROJECT_BINARY_DIR}/dura-config-version.cmake DESTINATION ${package_dir}
        COMPONENT development)
install(EXPORT dura_targets FILE dura-targets.cmake NAMESPACE dura:: DESTINATION ${package_dir} COMPONENT development)
