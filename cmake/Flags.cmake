# Compiler settings for all our targets.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
  set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
  if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
  endif()
endif()

if(EMSCRIPTEN)
  # One thread: in the browser the node is stepped by the page.
  add_library(Threads::Threads INTERFACE IMPORTED)
else()
  find_package(Threads REQUIRED)
endif()

# One compiler cache for all presets and for every clone: paths are taken relative to the source folder.
find_program(SEREUS_CCACHE ccache)
mark_as_advanced(SEREUS_CCACHE)
if(SEREUS_CCACHE AND PROJECT_IS_TOP_LEVEL AND NOT EMSCRIPTEN AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(launcher "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1 "${SEREUS_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

# sereus_flags: what every target of ours is compiled with. sereus_core_flags: what the core rooms add.
add_library(sereus_flags INTERFACE)
target_compile_options(sereus_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow
  $<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers>
  # GCC 13 and later take an empty std::optional's payload for one that is destroyed unset.
  $<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,13>>:-Wno-maybe-uninitialized>
  $<$<BOOL:${SEREUS_WERROR}>:-Werror>
  "-ffile-prefix-map=${PROJECT_SOURCE_DIR}/="
)
target_link_libraries(sereus_flags INTERFACE Threads::Threads)

add_library(sereus_core_flags INTERFACE)
target_link_libraries(sereus_core_flags INTERFACE sereus_flags)
target_compile_options(sereus_core_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti -Wconversion>)

# Tests and the simulator: the core's language, without the conversion warnings that test arithmetic trips over.
add_library(sereus_test_flags INTERFACE)
target_link_libraries(sereus_test_flags INTERFACE sereus_flags)
target_compile_options(sereus_test_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>)
target_compile_definitions(sereus_test_flags INTERFACE GTEST_HAS_EXCEPTIONS=0 GTEST_HAS_RTTI=0)

if(SEREUS_SANITIZE)
  # The vptr check needs RTTI, which the core does without.
  set(sanitize -fsanitize=${SEREUS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(SEREUS_SANITIZE MATCHES "undefined")
    list(APPEND sanitize -fno-sanitize=vptr)
  endif()
  target_compile_options(sereus_flags INTERFACE ${sanitize})
  target_link_options(sereus_flags INTERFACE ${sanitize})
endif()
if(SEREUS_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "SEREUS_FUZZ needs clang: cmake --preset fuzz")
  endif()
  target_compile_options(sereus_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
