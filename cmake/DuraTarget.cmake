# One library target per folder. A folder links only what the table in docs/architecture.md allows; tests/test_includes.cpp checks the #include lines.

# Warnings are errors in our own code only: headers of dependencies come in as SYSTEM.
option(DURA_WARNINGS_AS_ERRORS "Stop at warnings; off where a compiler that nobody has tried must do" ON)
function(dura_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
                                           $<$<BOOL:${DURA_WARNINGS_AS_ERRORS}>:-Werror>)
  # GCC 12 warns about overlapping copies inside std::string's operator+ where there are none (its bug 105651).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
  if(DURA_SANITIZE)
    # GCC 12 takes members of std::function for uninitialised where the sanitizers' checks stand between (Catch2, std::regex).
    target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  endif()
  if(DURA_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  endif()
endfunction()

# dura_library(NAME [INSTALL] DEPENDS... SUBFOLDERS... EXCLUDE...): a static library of every .cpp file in this folder and in the subfolders
# named, less the files in EXCLUDE. With INSTALL the library is for others: find_package(dura) gives them dura::NAME (headers: DuraInstall.cmake).
function(dura_library name)
  cmake_parse_arguments(ARG "INSTALL" "" "DEPENDS;SUBFOLDERS;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} *.cpp)
  list(REMOVE_ITEM sources ${ARG_EXCLUDE})
  foreach(folder IN LISTS ARG_SUBFOLDERS)
    file(GLOB more CONFIGURE_DEPENDS ${folder}/*.cpp)
    list(APPEND sources ${more})
  endforeach()
  add_library(dura_${name} STATIC ${sources})
  add_library(dura::${name} ALIAS dura_${name})
  set_target_properties(dura_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(dura_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(dura_${name} PUBLIC ${ARG_DEPENDS})
  target_compile_features(dura_${name} PUBLIC cxx_std_20)
  dura_options(dura_${name})
  if(ARG_INSTALL)
    install(TARGETS dura_${name} EXPORT dura_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
  endif()
endfunction()
