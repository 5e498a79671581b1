# cmake -D parts=FILE -D folder=DIR -P sbom.cmake: writes dura-sbom.json and third_party_notices.txt into the folder, and for each package into
# a folder below it (DuraSbom.cmake). The same packages give the same bytes; a time is in it where SOURCE_DATE_EPOCH says which.
cmake_policy(VERSION 3.25)
include(${parts})
find_program(dpkg_query dpkg-query)

# dpkg_of(FILE RESULT): "package|version|architecture" of a file; empty where dpkg does not know it. Debian's older packages own files below
# /lib that lie below /usr/lib.
function(dpkg_of file result)
  set(${result} "" PARENT_SCOPE)
  if(NOT dpkg_query)
    return()
  endif()
  get_filename_component(written ${file} ABSOLUTE)
  get_filename_component(real ${file} REALPATH)
  foreach(path ${written} ${real})
    string(REGEX REPLACE "^/usr/lib" "/lib" older ${path})
    foreach(name ${path} ${older})
      execute_process(COMMAND ${dpkg_query} --search ${name} OUTPUT_VARIABLE owner ERROR_QUIET RESULT_VARIABLE failed)
      if(failed OR owner MATCHES "^diversion")
        continue()
      endif()
      string(REGEX REPLACE "[,:].*" "" owner "${owner}")
      execute_process(COMMAND ${dpkg_query} --show "--showformat=\${Package}|\${Version}|\${Architecture}\n" ${owner} OUTPUT_VARIABLE found)
      string(REGEX REPLACE "\n.*" "" found "${found}")
      set(${result} "${found}" PARENT_SCOPE)
      return()
    endforeach()
  endforeach()
endfunction()

# An SPDX expression as CycloneDX has it; what has no SPDX name is a name.
function(licence_json expression result)
  if(expression MATCHES "^LicenseRef-(.*)")
    set(${result} "[{\"license\": {\"name\": \"${CMAKE_MATCH_1}\"}}]" PARENT_SCOPE)
  elseif(expression MATCHES " ")
    set(${result} "[{\"expression\": \"${expression}\"}]" PARENT_SCOPE)
  else()
    set(${result} "[{\"license\": {\"id\": \"${expression}\"}}]" PARENT_SCOPE)
  endif()
endfunction()

# Each part's entry, notice, role and users, under its number.
set(count 0)
foreach(part IN LISTS sbom_parts)
  string(REGEX MATCH "^([^|]*)\\|([^|]*)\\|([^|]*)\\|([^|]*)\\|([^|]*)\\|([^|]*)$" matched "${part}")
  set(name "${CMAKE_MATCH_1}")
  set(role ${CMAKE_MATCH_2})
  string(REPLACE " " ";" users "${CMAKE_MATCH_3}")
  set(licence "${CMAKE_MATCH_4}")
  set(file "${CMAKE_MATCH_5}")
  set(version "${CMAKE_MATCH_6}")
  dpkg_of("${file}" found)
  set(purl "")
  set(package "")
  if(found)
    string(REPLACE "|" ";" found "${found}")
    list(GET found 0 package)
    list(GET found 1 version)
    list(GET found 2 architecture)
    string(REPLACE "+" "%2B" purl_name "${package}")
    string(REPLACE "+" "%2B" purl_version "${version}")
    string(REPLACE ":" "%3A" purl_version "${purl_version}")
    set(purl "\"purl\": \"pkg:deb/debian/${purl_name}@${purl_version}?arch=${architecture}\",\n      ")
  endif()
  if(NOT version)
    set(version unknown)
  endif()
  # The same package may be several parts: its headers, its library.
  string(MAKE_C_IDENTIFIER "${role}_${name}" reference)
  licence_json("${licence}" licences)
  set(type library)
  set(scope required)
  if(role STREQUAL tool)
    set(type application)
    set(scope excluded)
  endif()
  set(entry_${count} "    {
      \"type\": \"${type}\",
      \"bom-ref\": \"${reference}\",
      \"name\": \"${name}\",
      \"version\": \"${version}\",
      \"scope\": \"${scope}\",
      \"licenses\": ${licences},
      ${purl}\"properties\": [{\"name\": \"dura:role\", \"value\": \"${role}\"}, {\"name\": \"dura:package\", \"value\": \"${package}\"}]
    }")
  set(role_${count} ${role})
  set(users_${count} ${users})
  set(reference_${count} ${reference})
  set(notice_${count} "")
  if(role STREQUAL compiled)
    set(notice_${count} "\n== ${name} ${version} (${licence})\n")
    if(EXISTS /usr/share/doc/${package}/copyright)
      file(READ /usr/share/doc/${package}/copyright text)
      string(APPEND notice_${count} "\n${text}")
    endif()
  endif()
  math(EXPR count "${count} + 1")
endforeach()
math(EXPR last "${count} - 1")

# write_papers(DIR PRODUCT...): the papers of what has these products and no other.
function(write_papers dir)
  set(components)
  set(dependencies)
  set(listed)
  set(notices "Parts of these are compiled into dura's programs and libraries. What follows is what their Debian packages say of them.\n")
  foreach(product IN LISTS ARGN)
    set(needs)
    foreach(i RANGE ${last})
      if(product IN_LIST users_${i})
        list(APPEND listed ${i})
        if(NOT role_${i} STREQUAL tool)
          list(APPEND needs "\"${reference_${i}}\"")
        endif()
      endif()
    endforeach()
    set(type library)
    if(NOT product MATCHES "^lib")
      set(type application)
    endif()
    list(APPEND components "    {
      \"type\": \"${type}\",
      \"bom-ref\": \"${product}\",
      \"name\": \"${product}\",
      \"version\": \"${dura_version}\",
      \"scope\": \"required\",
      \"licenses\": [{\"license\": {\"id\": \"Apache-2.0\"}}],
      \"properties\": [{\"name\": \"dura:role\", \"value\": \"product\"}, {\"name\": \"dura:package\", \"value\": \"\"}]
    }")
    list(JOIN needs ", " needs)
    list(APPEND dependencies "    {\"ref\": \"${product}\", \"dependsOn\": [${needs}]}")
  endforeach()
  foreach(i RANGE ${last})
    if(i IN_LIST listed)
      list(APPEND components "${entry_${i}}")
      string(APPEND notices "${notice_${i}}")
    endif()
  endforeach()
  list(JOIN components ",\n" components)
  list(JOIN dependencies ",\n" dependencies)
  list(JOIN ARGN "\", \"" products)

  set(timestamp "")
  if(DEFINED ENV{SOURCE_DATE_EPOCH})
    string(TIMESTAMP time "%Y-%m-%dT%H:%M:%SZ" UTC)
    set(timestamp "\"timestamp\": \"${time}\",\n    ")
  endif()
  string(UUID serial NAMESPACE 6ba7b811-9dad-11d1-80b4-00c04fd430c8 NAME "dura ${dura_version} ${components} ${timestamp}" TYPE SHA1)
  file(WRITE ${dir}/dura-sbom.json "{
  \"bomFormat\": \"CycloneDX\",
  \"specVersion\": \"1.5\",
  \"serialNumber\": \"urn:uuid:${serial}\",
  \"version\": 1,
  \"metadata\": {
    ${timestamp}\"component\": {
      \"type\": \"application\",
      \"bom-ref\": \"dura\",
      \"name\": \"dura\",
      \"version\": \"${dura_version}\",
      \"supplier\": {\"name\": \"the dura authors\"},
      \"licenses\": [{\"license\": {\"id\": \"Apache-2.0\"}}]
    }
  },
  \"components\": [
${components}
  ],
  \"dependencies\": [
    {\"ref\": \"dura\", \"dependsOn\": [\"${products}\"]},
${dependencies}
  ]
}
")
  file(WRITE ${dir}/third_party_notices.txt "${notices}")
endfunction()

write_papers(${folder} ${sbom_of_all})
foreach(package library development programs)
  write_papers(${folder}/${package} ${sbom_of_${package}})
endforeach()
