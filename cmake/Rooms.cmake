# sereus_room(NAME [DEPS rooms...] [LIBS targets...])
#
# core/NAME/*.cc               -> static library sereus_NAME (a header-only INTERFACE library while there is none)
# core/NAME/schema/*.fbs       -> generated headers, included as "core/NAME/schema/FILE_generated.h"
# tests/unit/NAME/*_test.cc    -> GoogleTest program test_NAME; other *.cc files there are helpers of it
# tests/support/*.cc           -> linked into every test program
#
# sereus_driver(NAME ...) is the same for drivers/NAME, sereus_driver_NAME and tests/unit/driver_NAME.

set(SEREUS_GENERATED_DIR "${CMAKE_CURRENT_BINARY_DIR}/generated")
set(SEREUS_ROOM_TARGETS "")

# Generates C++ from each schema of `folder` and adds it to the target; generated headers are SYSTEM, so our warnings do
# not apply to them.
function(sereus_schemas target folder scope)
  file(GLOB schemas CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/schema/*.fbs")
  if(NOT schemas)
    return()
  endif()
  set(out "${SEREUS_GENERATED_DIR}/${folder}/schema")
  set(headers "")
  foreach(schema IN LISTS schemas)
    cmake_path(GET schema STEM stem)
    list(APPEND headers "${out}/${stem}_generated.h")
    add_custom_command(
      OUTPUT "${out}/${stem}_generated.h"
      COMMAND "${SEREUS_FLATC}" --cpp --cpp-std c++17 --scoped-enums --no-prefix
              -I "${PROJECT_SOURCE_DIR}" -I "${PROJECT_SOURCE_DIR}/${folder}/schema" -o "${out}" "${schema}"
      DEPENDS ${schemas}
      COMMENT "flatc ${folder}/schema/${stem}.fbs"
      VERBATIM
    )
  endforeach()
  add_custom_target(${target}_schemas DEPENDS ${headers})
  add_dependencies(${target} ${target}_schemas)
  target_include_directories(${target} SYSTEM ${scope} "${SEREUS_GENERATED_DIR}" "${SEREUS_FLATBUFFERS_INCLUDE}")
endfunction()

function(sereus_library_from target folder)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "DEPS;LIBS")
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.cc")
  list(TRANSFORM arg_DEPS PREPEND sereus_)
  if(sources)
    set(scope PUBLIC)
    add_library(${target} STATIC ${sources})
    target_link_libraries(${target} PRIVATE sereus_core_flags)
  else()
    set(scope INTERFACE)
    add_library(${target} INTERFACE)
  endif()
  target_include_directories(${target} ${scope} "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${target} ${scope} ${arg_DEPS} ${arg_LIBS})
  sereus_schemas(${target} ${folder} ${scope})
  set(SEREUS_${target}_SCOPE ${scope} PARENT_SCOPE)
endfunction()

function(sereus_unit_tests name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LIBS")
  if(NOT SEREUS_TESTS)
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/unit/${name}/*.cc")
  if(NOT sources)
    return()
  endif()
  add_executable(test_${name} ${sources})
  target_link_libraries(test_${name} PRIVATE sereus_test_flags sereus_test_support ${arg_LIBS} GTest::gtest_main GTest::gmock)
  # Tests find vectors/ and fixtures from wherever they are started.
  target_compile_definitions(test_${name} PRIVATE SEREUS_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  set_target_properties(test_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test")
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 600)
endfunction()

macro(sereus_room name)
  sereus_library_from(sereus_${name} core/${name} ${ARGN})
  list(APPEND SEREUS_ROOM_TARGETS sereus_${name})
  string(TOUPPER ${name} room_upper)
  set(SEREUS_${room_upper}_SCOPE ${SEREUS_sereus_${name}_SCOPE})
  sereus_unit_tests(${name} LIBS sereus_${name})
endmacro()

macro(sereus_driver name)
  sereus_library_from(sereus_driver_${name} drivers/${name} ${ARGN})
  list(APPEND SEREUS_ROOM_TARGETS sereus_driver_${name})
  sereus_unit_tests(driver_${name} LIBS sereus_driver_${name})
endmacro()

if(SEREUS_TESTS)
  enable_testing()
  if(EMSCRIPTEN)
    set(SEREUS_TESTS OFF)
  else()
    find_package(GTest REQUIRED)
    file(GLOB support_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/support/*.cc")
    if(support_sources)
      add_library(sereus_test_support STATIC ${support_sources})
      target_link_libraries(sereus_test_support PRIVATE sereus_test_flags PUBLIC sereus_ports GTest::gtest)
      target_include_directories(sereus_test_support PUBLIC "${PROJECT_SOURCE_DIR}")
    else()
      add_library(sereus_test_support INTERFACE)
      target_include_directories(sereus_test_support INTERFACE "${PROJECT_SOURCE_DIR}")
    endif()
  endif()
endif()
