# Debian packages, made by the preset `package` (docs/packages.md): dura (programs), libdura1 (libdura.so.1), libdura-dev (headers, archives,
# find_package, pkg-config). Each is one of the components that install() names; `cmake --install` asks for none and installs them all. What
# packages alone have, their papers in share/doc, is excluded from that.

get_target_property(interface dura_shared SOVERSION)
set(DURA_PACKAGE_MAINTAINER "the dura authors <dura@localhost>" CACHE STRING "Who answers for the Debian packages: NAME <ADDRESS>")

set(paper_dir ${PROJECT_BINARY_DIR}/papers)
configure_file(cmake/packages/copyright ${paper_dir}/copyright COPYONLY)
set(ENV{SOURCE_DATE_EPOCH} ${DURA_RELEASED})
string(TIMESTAMP DURA_RELEASE_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(cmake/packages/changelog.in ${paper_dir}/changelog @ONLY)
set(papers ${paper_dir}/copyright)
if(DURA_GZIP)
  execute_process(COMMAND ${DURA_GZIP} -9 -n --keep --force ${paper_dir}/changelog COMMAND_ERROR_IS_FATAL ANY)
  list(APPEND papers ${paper_dir}/changelog.gz)
endif()

# dura_package(COMPONENT NAME SECTION DESCRIPTION): the description's first line is the summary.
macro(dura_package component name section description)
  string(TOUPPER ${component} key)
  set(CPACK_DEBIAN_${key}_PACKAGE_NAME ${name})
  set(CPACK_DEBIAN_${key}_PACKAGE_SECTION ${section})
  set(CPACK_DEBIAN_${key}_DESCRIPTION "${description}")
  # The component's own list of parts and notices.
  install(FILES ${papers} ${sbom_dir}/${component}/dura-sbom.json ${sbom_dir}/${component}/third_party_notices.txt
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name} COMPONENT ${component} EXCLUDE_FROM_ALL)
endmacro()
# A description's lines are shown as they stand here.
set(about "dura is a deep learning engine written from scratch, with one real job: to
tell kinds of brain tumours apart on MRI slices by transfer learning with
ResNet, and to show where the network looked. It is not a medical device.
.")
dura_package(programs dura science "classify pictures by transfer learning, and explain the answers
${about}
This package has the programs: prepare a data set, train, evaluate, predict,
draw heat maps, convert weights, report.")
dura_package(library libdura${interface} libs "library that classifies and explains pictures
${about}
This package has the shared library that predicts and draws heat maps, for
any language that can call C.")
dura_package(development libdura-dev libdevel "library that classifies and explains pictures - development files
${about}
This package has the headers of the C and C++ interfaces, static libraries,
and what CMake and pkg-config need to find them.")
install(DIRECTORY docs/examples DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libdura-dev COMPONENT development EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME dura)
set(CPACK_PACKAGE_CONTACT "${DURA_PACKAGE_MAINTAINER}")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_COMPONENTS_ALL programs library development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# Dependencies of programs and libraries as dpkg-shlibdeps finds them; what is linked with libdura.so needs the version it was linked with.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/cmake/packages/triggers)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libdura${interface} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "cmake, pkgconf")
configure_file(cmake/packages/cpack_settings.cmake.in ${PROJECT_BINARY_DIR}/cpack_settings.cmake @ONLY)
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_BINARY_DIR}/cpack_settings.cmake)
include(CPack)
