# A cross build against a Debian root of another architecture, which nothing of is ever run:
#
#   cmake -DCMAKE_TOOLCHAIN_FILE=packaging/cross/toolchain.cmake -DTRIPLET=aarch64-linux-gnu -DSYSROOT=DIR
#
# tests/cross makes such a root, and runs the result under qemu.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TRIPLET SYSROOT)
set(CMAKE_SYSTEM_NAME Linux)
string(REGEX REPLACE "-.*" "" CMAKE_SYSTEM_PROCESSOR "${TRIPLET}")
set(CMAKE_CXX_COMPILER ${TRIPLET}-g++)
set(CMAKE_LIBRARY_ARCHITECTURE ${TRIPLET})
set(CMAKE_FIND_ROOT_PATH ${SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# The compiler keeps its own C and C++ libraries: the root adds libnftnl, libmnl and libsimdjson.
set(CMAKE_CXX_FLAGS_INIT "-isystem ${SYSROOT}/usr/include")
set(CMAKE_EXE_LINKER_FLAGS_INIT
  "-L${SYSROOT}/usr/lib/${TRIPLET} -Wl,-rpath-link,${SYSROOT}/usr/lib/${TRIPLET}:${SYSROOT}/lib/${TRIPLET}")
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${SYSROOT}/usr/lib/${TRIPLET}/pkgconfig:${SYSROOT}/usr/share/pkgconfig)
