# cmake -D program=FILE -D page=FILE.1 -D released=SECONDS -D help2man=FILE -D gzip=FILE -P manual_page.cmake: page.gz, the manual page of a
# program from its --help. The same program gives the same bytes: the page's date is that of the release, not of the build.
execute_process(COMMAND ${program} --help OUTPUT_VARIABLE help COMMAND_ERROR_IS_FATAL ANY)
# The line by which `man -k` finds a page: the summary's first sentence, which the help begins with.
string(REGEX REPLACE "[.:,?](\n| [A-Za-z]).*" "" summary "${help}")
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
  set(ENV{SOURCE_DATE_EPOCH} ${released})
endif()
set(ENV{LC_ALL} C.UTF-8)
get_filename_component(folder ${page} DIRECTORY)
file(MAKE_DIRECTORY ${folder})
execute_process(COMMAND ${help2man} --no-info --section=1 --source=dura --manual=dura "--name=${summary}" --output=${page} ${program}
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${gzip} -9 -n --force ${page} COMMAND_ERROR_IS_FATAL ANY)
