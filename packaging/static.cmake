# NFT_PORT_MAPPER_STATIC: takes each library's static file where Debian has one. Debian 13 has all of
# them, and the programs need no shared library at all. Debian 12 has none of libmnl and libsimdjson:
# these stay shared, with the C and C++ libraries that libsimdjson needs itself, since two C++
# libraries in one process do not get on.
set(ALL_STATIC ON)
foreach(library NFTNL:nftnl MNL:mnl SIMDJSON:simdjson)
  string(REPLACE ":" ";" library ${library})
  list(GET library 0 target)
  list(GET library 1 name)
  find_library(${target}_STATIC NAMES lib${name}.a lib${name}_static.a)
  if(${target}_STATIC)
    set_target_properties(PkgConfig::${target} PROPERTIES INTERFACE_LINK_LIBRARIES "${${target}_STATIC}")
  else()
    set(ALL_STATIC OFF)
    message(STATUS "lib${name} stays shared: there is no static library")
  endif()
endforeach()
# libnftnl.a wants libmnl behind it on the link line, where CMake would name libmnl.a once and before.
set_property(TARGET PkgConfig::NFTNL APPEND PROPERTY INTERFACE_LINK_LIBRARIES PkgConfig::MNL)
if(MNL_STATIC)
  set_property(TARGET PkgConfig::NFTNL PROPERTY INTERFACE_LINK_LIBRARIES
    "-Wl,--start-group,${NFTNL_STATIC},${MNL_STATIC},--end-group")
endif()
if(ALL_STATIC)
  add_link_options(-static-pie)
endif()
