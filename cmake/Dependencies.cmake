# Third-party libraries as imported targets. The distribution's where it has what we need; wolfSSL, ngtcp2 and
# llhttp are built from pinned archives by tools/deps.py, once for all presets.

if(EMSCRIPTEN)
  return()
endif()

find_package(Python3 REQUIRED COMPONENTS Interpreter)
find_package(PkgConfig REQUIRED)
find_package(SQLite3 3.37 REQUIRED)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium>=1.0.18)
add_library(Sereus::sodium ALIAS PkgConfig::SODIUM)

find_program(SEREUS_FLATC flatc REQUIRED)
find_path(SEREUS_FLATBUFFERS_INCLUDE flatbuffers/flatbuffers.h REQUIRED)
mark_as_advanced(SEREUS_FLATC SEREUS_FLATBUFFERS_INCLUDE)

set(SEREUS_DEPS_JOBS 2 CACHE STRING "Parallel compilers while the pinned dependencies are built")
execute_process(
  COMMAND "${Python3_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/tools/deps.py" build --jobs ${SEREUS_DEPS_JOBS}
  OUTPUT_VARIABLE sereus_deps
  OUTPUT_STRIP_TRAILING_WHITESPACE
  RESULT_VARIABLE sereus_deps_result
)
if(NOT sereus_deps_result EQUAL 0)
  message(FATAL_ERROR "The pinned dependencies are not there; see above.")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  "${PROJECT_SOURCE_DIR}/tools/deps.py" "${PROJECT_SOURCE_DIR}/tools/wolfssl_hooks.h")
string(REPLACE "\n" ";" sereus_deps "${sereus_deps}")
foreach(line IN LISTS sereus_deps)
  if(line MATCHES "^([a-z0-9_]+)=(.*)$")
    set(SEREUS_DEP_${CMAKE_MATCH_1} "${CMAKE_MATCH_2}")
  endif()
endforeach()

function(sereus_imported_archive name prefix file)
  add_library(Sereus::${name} STATIC IMPORTED GLOBAL)
  set_target_properties(Sereus::${name} PROPERTIES
    IMPORTED_LOCATION "${prefix}/lib/${file}"
    INTERFACE_INCLUDE_DIRECTORIES "${prefix}/include"
  )
endfunction()

sereus_imported_archive(wolfssl "${SEREUS_DEP_wolfssl_prefix}" libwolfssl.a)
target_link_libraries(Sereus::wolfssl INTERFACE m Threads::Threads)
# wolfSSL calls back into core/crypto/wolfssl_hooks.cc. A linker that reads archives once has passed that one by the time it
# gets to wolfSSL, unless something asked for it before.
target_link_options(Sereus::wolfssl INTERFACE "LINKER:-u,sereus_wolfssl_random_block")
sereus_imported_archive(ngtcp2_core "${SEREUS_DEP_ngtcp2_prefix}" libngtcp2.a)
sereus_imported_archive(ngtcp2 "${SEREUS_DEP_ngtcp2_prefix}" libngtcp2_crypto_wolfssl.a)
target_link_libraries(Sereus::ngtcp2 INTERFACE Sereus::ngtcp2_core Sereus::wolfssl)
sereus_imported_archive(llhttp "${SEREUS_DEP_llhttp_prefix}" libllhttp.a)
foreach(target wolfssl ngtcp2 ngtcp2_core)
  target_compile_definitions(Sereus::${target} INTERFACE WOLFSSL_USE_OPTIONS_H NGTCP2_STATICLIB)
endforeach()
