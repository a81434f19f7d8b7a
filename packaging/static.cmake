# NFT_PORT_MAPPER_STATIC: takes each library's static file where there is one. Debian 13 has all of them,
# and the plugin needs no shared library at all. Debian 12 has none of libmnl and libsimdjson:
# packaging/static-libraries compiles them, into a directory for CMAKE_LIBRARY_PATH. Without one of
# libsimdjson the C++ library stays shared too, since two of them in one process do not get on.
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
# For the plugin, which starts for each container; ctl and the tests keep the C++ and the C library shared.
if(ALL_STATIC)
  set(STATIC_LINK_OPTIONS -static-pie)
elseif(SIMDJSON_STATIC)
  set(STATIC_LINK_OPTIONS -static-libstdc++ -static-libgcc)
endif()
# libsimdjson's header brings <iostream>, which names this function of newer C++ libraries so that theirs sets up
# std::cout and its locales: a third of a program without a loader, for nothing, since nobody prints by them.
list(APPEND STATIC_LINK_OPTIONS -Wl,--defsym=_ZSt21ios_base_library_initv=0)
include(CheckLinkerFlag)
check_linker_flag(CXX -Wl,-z,pack-relative-relocs HAVE_PACKED_RELOCATIONS)
if(HAVE_PACKED_RELOCATIONS)
  list(APPEND STATIC_LINK_OPTIONS -Wl,-z,pack-relative-relocs)
endif()
