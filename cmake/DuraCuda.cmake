# What the CUDA backend is built with: CUDA's compiler, headers and static runtime, and the headers of cuDNN. cuDNN and cublasLt themselves
# are opened when they are first needed (engine/cuda/card/shared_library.h), so a program starts without them and without a driver.
#   DURA_CUDA=AUTO  with CUDA where all of it is found (default);  ON  an error where something is missing;  OFF  without
# Sets DURA_CUDA_FOUND, DURA_CUDNN_FOLDERS and DURA_CUBLAS_FOLDERS (where the libraries lay while building; a last resort when running).
set(DURA_CUDA AUTO CACHE STRING "Build the CUDA backend: AUTO (where CUDA and cuDNN are found), ON, OFF")
set_property(CACHE DURA_CUDA PROPERTY STRINGS AUTO ON OFF)
set(DURA_CUDNN_ROOT "" CACHE PATH "A folder with cuDNN's include/ and lib/, where it is in no usual place")
set(DURA_CUDA_FOUND FALSE)

# dura_find_cuda(MISSING): what is missing, in words; empty where CUDA can be built.
function(dura_find_cuda missing)
  find_package(CUDAToolkit 12.0 QUIET)
  if(NOT CUDAToolkit_FOUND)
    set(${missing} "CUDA's toolkit, version 12 or newer (nvcc on PATH, or -DCUDAToolkit_ROOT=FOLDER)" PARENT_SCOPE)
    return()
  endif()
  if(NOT TARGET CUDA::cudart_static)
    set(${missing} "libcudart_static.a in ${CUDAToolkit_LIBRARY_DIR}" PARENT_SCOPE)
    return()
  endif()
  # Python's packages (nvidia-cudnn-cu13 and the like) have the same files, without unversioned names of the libraries.
  find_package(Python3 COMPONENTS Interpreter QUIET)
  set(places ${DURA_CUDNN_ROOT} $ENV{CUDNN_PATH} ${CUDAToolkit_LIBRARY_ROOT} ${CUDAToolkit_TARGET_DIR} ${Python3_SITELIB}/nvidia/cudnn
             ${Python3_SITEARCH}/nvidia/cudnn)
  set(suffixes lib lib64 lib/${CMAKE_LIBRARY_ARCHITECTURE})
  find_path(DURA_CUDNN_INCLUDE cudnn_graph.h HINTS ${places} ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES include DOC "Folder of cudnn_graph.h")
  find_file(DURA_CUDNN_LIBRARY libcudnn.so.9 HINTS ${places} ${CUDAToolkit_LIBRARY_DIR} PATH_SUFFIXES ${suffixes} DOC "libcudnn.so.9")
  find_file(DURA_CUBLAS_LIBRARY libcublasLt.so.${CUDAToolkit_VERSION_MAJOR} HINTS ${CUDAToolkit_LIBRARY_DIR} ${places}
            PATH_SUFFIXES ${suffixes} DOC "libcublasLt")
  mark_as_advanced(DURA_CUDNN_INCLUDE DURA_CUDNN_LIBRARY DURA_CUBLAS_LIBRARY)
  if(NOT DURA_CUDNN_INCLUDE)
    set(${missing} "cuDNN's headers, version 9 (-DDURA_CUDNN_ROOT=FOLDER)" PARENT_SCOPE)
    return()
  endif()
  file(STRINGS ${DURA_CUDNN_INCLUDE}/cudnn_version.h version REGEX "define CUDNN_(MAJOR|MINOR) ")
  string(REGEX REPLACE ".*CUDNN_MAJOR ([0-9]+).*CUDNN_MINOR ([0-9]+).*" "\\1.\\2" version "${version}")
  # Device properties, by which plans are checked without a card, came with 9.8.
  if(version VERSION_LESS 9.8 OR NOT version VERSION_LESS 10)
    set(${missing} "cuDNN 9.8 or a newer 9 (${DURA_CUDNN_INCLUDE} has ${version})" PARENT_SCOPE)
    return()
  endif()
  set(DURA_CUDNN_VERSION ${version} PARENT_SCOPE)
  set(${missing} "" PARENT_SCOPE)
endfunction()

if(NOT DURA_CUDA)
  message(STATUS "dura: without CUDA (DURA_CUDA=${DURA_CUDA})")
else()
  dura_find_cuda(missing)
  if(missing STREQUAL "")
    set(DURA_CUDA_FOUND TRUE)
    find_package(CUDAToolkit 12.0 QUIET)  # its targets belong to the folder that asks
    message(STATUS "dura: with CUDA ${CUDAToolkit_VERSION}, cuDNN ${DURA_CUDNN_VERSION}")
  elseif(DURA_CUDA STREQUAL "AUTO")
    message(STATUS "dura: without CUDA, missing: ${missing}")
  else()
    message(FATAL_ERROR "DURA_CUDA=${DURA_CUDA}, but this is missing: ${missing}. Install it, or configure with -DDURA_CUDA=OFF.")
  endif()
endif()

# The folder of a library that was found; empty otherwise.
function(dura_folder_of file result)
  set(folder "")
  if(file)
    get_filename_component(folder "${file}" DIRECTORY)
  endif()
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()
dura_folder_of("${DURA_CUDNN_LIBRARY}" DURA_CUDNN_FOLDERS)
dura_folder_of("${DURA_CUBLAS_LIBRARY}" DURA_CUBLAS_FOLDERS)
