# The sources are a release made by `make dist`, which holds all crates: beside this file, or where LIBDILL_RELEASE says.
# Needs cargo 1.89 or newer and make; vcpkg brings neither.

set(VCPKG_BUILD_TYPE release)
if(NOT DEFINED ENV{LIBDILL_RELEASE})
    set(ENV{LIBDILL_RELEASE} "${CMAKE_CURRENT_LIST_DIR}/libdill-${VERSION}.tar.xz")
endif()
vcpkg_extract_source_archive(SOURCE_PATH ARCHIVE "$ENV{LIBDILL_RELEASE}")
find_program(CARGO cargo REQUIRED)
find_program(MAKE make REQUIRED)
set(TLS 0)
if("tls" IN_LIST FEATURES)
    set(TLS 1)
endif()
vcpkg_execute_required_process(COMMAND ${MAKE} CARGO=${CARGO} TLS=${TLS}
    WORKING_DIRECTORY "${SOURCE_PATH}" LOGNAME build)
vcpkg_execute_required_process(COMMAND ${MAKE} install CARGO=false TLS=${TLS} LDCONFIG=true
    PREFIX=${CURRENT_PACKAGES_DIR} WORKING_DIRECTORY "${SOURCE_PATH}" LOGNAME install)
if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
    file(GLOB shared "${CURRENT_PACKAGES_DIR}/lib/libdill.so*")
    file(REMOVE ${shared})
else()
    file(REMOVE "${CURRENT_PACKAGES_DIR}/lib/libdill.a")
endif()
vcpkg_cmake_config_fixup(PACKAGE_NAME libdill CONFIG_PATH lib/cmake/libdill)
vcpkg_fixup_pkgconfig()
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE"
    "${CURRENT_PACKAGES_DIR}/share/doc/libdill/THIRD-PARTY-LICENSES")
