# A manual page and bash's completion for every program, made while building from what the program itself says: --help and --completion.
# Pages need help2man and gzip; without them there are none. A build for another machine, or for sanitizers, cannot run or does not ship its
# programs, and has neither.
if(CMAKE_CROSSCOMPILING OR DURA_SANITIZE)
  return()
endif()

find_program(DURA_HELP2MAN help2man DOC "Makes manual pages of --help (Debian: help2man)")
find_program(DURA_GZIP gzip)
mark_as_advanced(DURA_HELP2MAN DURA_GZIP)
set(with_pages TRUE)
if(NOT DURA_HELP2MAN OR NOT DURA_GZIP)
  set(with_pages FALSE)
  message(STATUS "dura: without manual pages, missing: help2man or gzip")
endif()

set(manual_dir ${PROJECT_BINARY_DIR}/manual)
set(manual_files)
get_property(programs GLOBAL PROPERTY DURA_PROGRAMS)
foreach(program IN LISTS programs)
  set(page)
  if(with_pages)
    set(page ${manual_dir}/man1/${program}.1.gz)
    add_custom_command(OUTPUT ${page} VERBATIM DEPENDS ${program} ${PROJECT_SOURCE_DIR}/cmake/packages/manual_page.cmake
                       COMMAND ${CMAKE_COMMAND} -D program=$<TARGET_FILE:${program}> -D page=${manual_dir}/man1/${program}.1 -D released=${DURA_RELEASED}
                               -D help2man=${DURA_HELP2MAN} -D gzip=${DURA_GZIP} -P ${PROJECT_SOURCE_DIR}/cmake/packages/manual_page.cmake)
  endif()
  set(completion ${manual_dir}/completions/${program})
  add_custom_command(OUTPUT ${completion} VERBATIM DEPENDS ${program}
                     COMMAND ${CMAKE_COMMAND} -E make_directory ${manual_dir}/completions
                     COMMAND ${program} --completion > ${completion})
  list(APPEND manual_files ${page} ${completion})
endforeach()
add_custom_target(manual ALL DEPENDS ${manual_files})

if(with_pages)
  install(DIRECTORY ${manual_dir}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT programs)
endif()
install(DIRECTORY ${manual_dir}/completions DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion COMPONENT programs)
