# libsereus: the C ABI as a shared library that exports the names of core/capi/exports.txt and nothing else, and the same
# as a static library. Both take the capi room's objects directly, so that a function nobody calls yet is in them too.

get_target_property(capi_type sereus_capi TYPE)
if(NOT capi_type STREQUAL "STATIC_LIBRARY")
  message(STATUS "core/capi has no source yet: libsereus and everything on it are left out")
  return()
endif()

set(SEREUS_EXPORTS_FILE "${PROJECT_SOURCE_DIR}/core/capi/exports.txt")
set(SEREUS_HEADER "${PROJECT_SOURCE_DIR}/include/sereus.h")
set(exports_dir "${SEREUS_GENERATED_DIR}/exports")
set(SEREUS_EXPORTS_MAP "${exports_dir}/sereus.map")
set(SEREUS_EXPORTS_APPLE "${exports_dir}/sereus.exp")
add_custom_command(
  OUTPUT "${SEREUS_EXPORTS_MAP}" "${SEREUS_EXPORTS_APPLE}" "${exports_dir}/sereus.def" "${exports_dir}/sereus.emscripten"
  COMMAND "${Python3_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/tools/exports.py" generate "${SEREUS_EXPORTS_FILE}" "${exports_dir}"
  DEPENDS "${PROJECT_SOURCE_DIR}/tools/exports.py" "${SEREUS_EXPORTS_FILE}"
  COMMENT "Export lists from core/capi/exports.txt"
  VERBATIM
)
add_custom_target(sereus_exports DEPENDS "${SEREUS_EXPORTS_MAP}")

add_library(sereus SHARED $<TARGET_OBJECTS:sereus_capi>)
add_library(Sereus::sereus ALIAS sereus)
add_dependencies(sereus sereus_exports)
set_target_properties(sereus PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION 0
  LINK_DEPENDS "${SEREUS_EXPORTS_MAP}"
  LINKER_LANGUAGE CXX
)
target_include_directories(sereus INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
)
get_target_property(capi_links sereus_capi LINK_LIBRARIES)
target_link_libraries(sereus PRIVATE sereus_core_flags ${capi_links})
if(APPLE)
  target_link_options(sereus PRIVATE "LINKER:-exported_symbols_list,${SEREUS_EXPORTS_APPLE}")
elseif(UNIX)
  target_link_options(sereus PRIVATE "LINKER:--version-script=${SEREUS_EXPORTS_MAP}" LINKER:--gc-sections)
  if(NOT SEREUS_SANITIZE)
    target_link_options(sereus PRIVATE LINKER:--no-undefined)
  endif()
endif()

# The static library carries our rooms and the pinned archives; libsodium, SQLite and the C++ runtime stay outside.
set(room_objects "")
foreach(room IN LISTS SEREUS_ROOM_TARGETS)
  get_target_property(type ${room} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    list(APPEND room_objects $<TARGET_OBJECTS:${room}>)
  endif()
endforeach()
add_library(sereus_static STATIC ${room_objects})
add_library(Sereus::sereus_static ALIAS sereus_static)
set_target_properties(sereus_static PROPERTIES OUTPUT_NAME sereus LINKER_LANGUAGE CXX)
target_include_directories(sereus_static INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
)
set(SEREUS_STATIC_PARTS
  $<TARGET_FILE:Sereus::ngtcp2> $<TARGET_FILE:Sereus::ngtcp2_core> $<TARGET_FILE:Sereus::wolfssl>
  $<TARGET_FILE:Sereus::llhttp>)
add_custom_command(TARGET sereus_static POST_BUILD
  COMMAND "${Python3_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/tools/merge_archives.py"
          "${CMAKE_AR}" $<TARGET_FILE:sereus_static> ${SEREUS_STATIC_PARTS}
  COMMENT "Adding wolfSSL, ngtcp2 and llhttp to libsereus.a"
  VERBATIM
)

if(SEREUS_INSTALL)
  include(Install)
endif()
