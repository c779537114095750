# `cmake --install`: libraries, header, command, CMake package, pkg-config file, man page and completions.

include(CMakePackageConfigHelpers)

install(TARGETS sereus EXPORT SereusTargets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(FILES $<TARGET_FILE:sereus_static> DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES "${SEREUS_HEADER}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Sereus")
install(EXPORT SereusTargets NAMESPACE Sereus:: DESTINATION "${package_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/SereusConfig.cmake.in"
  "${CMAKE_CURRENT_BINARY_DIR}/SereusConfig.cmake" INSTALL_DESTINATION "${package_dir}")
# The ABI is 0.x: a minor version may break it.
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/SereusConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/SereusConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/SereusConfigVersion.cmake"
  DESTINATION "${package_dir}")

configure_file("${PROJECT_SOURCE_DIR}/cmake/sereus.pc.in" "${CMAKE_CURRENT_BINARY_DIR}/sereus.pc" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/sereus.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" "${PROJECT_SOURCE_DIR}/docs/licensing.md" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(FILES "${CMAKE_BINARY_DIR}/sbom.spdx.json" DESTINATION "${CMAKE_INSTALL_DOCDIR}" OPTIONAL)

file(GLOB man_pages CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/docs/man/*.1")
install(FILES ${man_pages} DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
set(completion "${PROJECT_SOURCE_DIR}/apps/sereus/completion")
install(FILES "${completion}/sereus.bash" DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions"
  RENAME sereus OPTIONAL)
install(FILES "${completion}/_sereus" DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions" OPTIONAL)
install(FILES "${completion}/sereus.fish" DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d" OPTIONAL)
