# dura-sbom.json, the list of what dura is made of (CycloneDX 1.5), and third_party_notices.txt, the licences of what is compiled in. Both are
# made while building (packages/sbom.cmake), of files that this build takes: where there is dpkg, it says to which package, in which version,
# each of them belongs.
set(sbom_parts)

# dura_part(NAME ROLE LICENCE FILE [VERSION]): ROLE: compiled (its code is in our files), headers (of
# the runtime, in our files as far as they are inline), linked (needed at run time), tool (made our files). LICENCE: an SPDX
# expression. FILE: one of the part's files; a part without one is left out. VERSION: for where dpkg does not know the file.
macro(dura_part name role licence file)
  if(EXISTS "${file}")
    list(APPEND sbom_parts "${name}|${role}|${licence}|${file}|${ARGN}")
  endif()
endmacro()

find_package(Eigen3 3.4 QUIET NO_MODULE)
find_package(nlohmann_json 3.10 QUIET)
get_target_property(eigen Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
get_target_property(json nlohmann_json::nlohmann_json INTERFACE_INCLUDE_DIRECTORIES)
list(GET json 0 json)
dura_part(Eigen compiled MPL-2.0 ${eigen}/Eigen/Core ${Eigen3_VERSION})
dura_part(nlohmann-json compiled MIT ${json}/nlohmann/json.hpp ${nlohmann_json_VERSION})
dura_part(stb compiled "MIT OR Unlicense" ${DURA_STB_INCLUDE}/stb_image.h)
dura_part(toml++ compiled MIT ${DURA_TOML_INCLUDE}/toml++/toml.h)

# Templates and inline functions of the runtime's headers are in our files; its libraries are needed at run time.
set(gcc_licence "GPL-3.0-or-later WITH GCC-exception-3.1")
foreach(library stdc++.so gcc.a c.so stdc++.so.6 gcc_s.so.1 c.so.6)
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=lib${library} OUTPUT_VARIABLE lib${library} OUTPUT_STRIP_TRAILING_WHITESPACE)
endforeach()
find_path(DURA_LINUX_HEADERS linux/errno.h)
mark_as_advanced(DURA_LINUX_HEADERS)
dura_part("headers of libstdc++" headers "${gcc_licence}" "${libstdc++.so}")
dura_part("headers and archive of libgcc" headers "${gcc_licence}" "${libgcc.a}")
dura_part("headers of the C library" headers LGPL-2.1-or-later "${libc.so}")
dura_part("headers of Linux" headers "GPL-2.0-only WITH Linux-syscall-note" ${DURA_LINUX_HEADERS}/linux/errno.h)
dura_part(libstdc++ linked "${gcc_licence}" "${libstdc++.so.6}")
dura_part(libgcc linked "${gcc_licence}" "${libgcc_s.so.1}")
dura_part("C library" linked LGPL-2.1-or-later "${libc.so.6}")
if(DURA_HDF5_LIBRARY AND DURA_HDF5_INCLUDE AND NOT DURA_HDF5 STREQUAL "OFF")
  dura_part("HDF5 headers" compiled BSD-3-Clause ${DURA_HDF5_INCLUDE}/hdf5.h)
  get_filename_component(file ${DURA_HDF5_LIBRARY} REALPATH)
  dura_part(HDF5 linked BSD-3-Clause ${file})
endif()
if(TARGET dura_mpi)
  find_path(DURA_MPI_INCLUDE mpi.h PATHS ${MPI_CXX_COMPILER_INCLUDE_DIRS} ${MPI_CXX_HEADER_DIR} NO_DEFAULT_PATH)
  mark_as_advanced(DURA_MPI_INCLUDE)
  dura_part("MPI headers" compiled BSD-3-Clause ${DURA_MPI_INCLUDE}/mpi.h)
  get_filename_component(file "${MPI_mpi_LIBRARY}" REALPATH)
  dura_part(MPI linked BSD-3-Clause ${file})
endif()
if(DURA_CUDA_FOUND)
  dura_part("CUDA runtime" compiled LicenseRef-NVIDIA-CUDA-EULA ${CMAKE_CUDA_COMPILER} ${CUDAToolkit_VERSION})
  dura_part("cuDNN headers" compiled LicenseRef-NVIDIA-cuDNN-SLA ${DURA_CUDNN_INCLUDE}/cudnn_version.h ${DURA_CUDNN_VERSION})
endif()
dura_part("${CMAKE_CXX_COMPILER_ID} C++ compiler" tool GPL-3.0-or-later ${CMAKE_CXX_COMPILER} ${CMAKE_CXX_COMPILER_VERSION})
dura_part(CMake tool BSD-3-Clause ${CMAKE_COMMAND} ${CMAKE_VERSION})

# Asked at every build, since a package may have been upgraded since the last one; written where something changed.
set(sbom_dir ${PROJECT_BINARY_DIR}/papers)
configure_file(cmake/packages/sbom_parts.cmake.in ${sbom_dir}/sbom_parts.cmake @ONLY)
add_custom_target(sbom ALL VERBATIM BYPRODUCTS ${sbom_dir}/dura-sbom.json ${sbom_dir}/third_party_notices.txt
                  COMMAND ${CMAKE_COMMAND} -D parts=${sbom_dir}/sbom_parts.cmake -D folder=${sbom_dir}
                          -P ${PROJECT_SOURCE_DIR}/cmake/packages/sbom.cmake)
set(sbom_files ${sbom_dir}/dura-sbom.json ${sbom_dir}/third_party_notices.txt)
install(FILES ${sbom_files} DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT papers)
