# The command, the simulator, the C ABI's tests, benchmarks and fuzz targets, each as soon as its sources exist.

if(SEREUS_APPS AND TARGET sereus)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/apps/sereus/*.cc")
  if(sources)
    pkg_check_modules(QRENCODE REQUIRED IMPORTED_TARGET libqrencode)
    pkg_check_modules(EDIT REQUIRED IMPORTED_TARGET libedit)
    find_package(CLI11 REQUIRED)
    find_package(nlohmann_json REQUIRED)
    add_executable(sereus_app ${sources})
    # On the C ABI alone: it links the shared library, where hidden symbols do not resolve.
    target_link_libraries(sereus_app PRIVATE
      sereus_flags sereus CLI11::CLI11 nlohmann_json::nlohmann_json PkgConfig::QRENCODE PkgConfig::EDIT)
    target_include_directories(sereus_app PRIVATE "${PROJECT_SOURCE_DIR}")
    set_target_properties(sereus_app PROPERTIES
      OUTPUT_NAME sereus
      BUILD_RPATH "$ORIGIN/../lib"
      BUILD_RPATH_USE_ORIGIN ON
      INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}"
    )
    if(SEREUS_INSTALL)
      install(TARGETS sereus_app RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
    endif()
  endif()
endif()

if(SEREUS_TESTS)
  file(GLOB sim_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/sim/*.cc")
  # The command's own files; all others are the library.
  file(GLOB sim_main CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/sim/main.cc" "${PROJECT_SOURCE_DIR}/sim/command_*.cc")
  list(REMOVE_ITEM sim_sources ${sim_main})
  if(sim_sources)
    add_library(sereus_sim STATIC ${sim_sources})
    # Ledgers and schedules are JSON.
    find_package(nlohmann_json REQUIRED)
    target_link_libraries(sereus_sim PRIVATE sereus_test_flags PUBLIC sereus_node nlohmann_json::nlohmann_json)
    # Their allocators are the simulator's.
    target_link_libraries(sereus_sim PRIVATE SQLite::SQLite3 Sereus::wolfssl)
    target_include_directories(sereus_sim PUBLIC "${PROJECT_SOURCE_DIR}")
    sereus_unit_tests(sim LIBS sereus_sim)
    if(sim_main)
      add_executable(sereus_sim_main ${sim_main})
      set_target_properties(sereus_sim_main PROPERTIES OUTPUT_NAME sereus-sim)
      find_package(CLI11 REQUIRED)
      # The command line parser throws; the simulator itself is compiled like the core.
      target_link_libraries(sereus_sim_main PRIVATE sereus_flags sereus_sim CLI11::CLI11)
    endif()
  endif()

  # Each tests/capi/*_test.c is a program of its own in strict C99; other .c files there are linked into each of them.
  file(GLOB capi_helpers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/capi/*.c")
  file(GLOB capi_tests CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/capi/*_test.c")
  if(capi_tests AND TARGET sereus)
    list(REMOVE_ITEM capi_helpers ${capi_tests})
    foreach(source IN LISTS capi_tests)
      cmake_path(GET source STEM stem)
      add_executable(capi_${stem} "${source}" ${capi_helpers})
      target_link_libraries(capi_${stem} PRIVATE sereus_flags sereus)
      target_compile_options(capi_${stem} PRIVATE -pedantic-errors)
      # POSIX names (mkdtemp, nanosleep) beside strict C99.
      target_compile_definitions(capi_${stem} PRIVATE _POSIX_C_SOURCE=200809L SEREUS_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
      set_target_properties(capi_${stem} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test")
      add_test(NAME capi_${stem} COMMAND capi_${stem})
      set_tests_properties(capi_${stem} PROPERTIES LABELS capi TIMEOUT 600)
    endforeach()
  endif()

  # Hosts on real sockets that tests/interop runs against js-libp2p; each source is a program.
  file(GLOB interop_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/interop/*.cc")
  foreach(source IN LISTS interop_sources)
    cmake_path(GET source STEM stem)
    add_executable(interop_${stem} "${source}")
    target_link_libraries(interop_${stem} PRIVATE sereus_test_flags sereus_driver_posix)
    set_target_properties(interop_${stem} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test")
  endforeach()

  file(GLOB fuzz_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/fuzz/*_fuzz.cc")
  foreach(source IN LISTS fuzz_sources)
    cmake_path(GET source STEM stem)
    add_executable(replay_${stem} "${source}" "${PROJECT_SOURCE_DIR}/cmake/fuzz_replay.cc")
    target_link_libraries(replay_${stem} PRIVATE sereus_test_flags sereus_node)
    set_target_properties(replay_${stem} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test")
    string(REGEX REPLACE "_fuzz$" "" corpus "${stem}")
    add_test(NAME replay_${stem} COMMAND replay_${stem} "${PROJECT_SOURCE_DIR}/fuzz/corpus/${corpus}")
    set_tests_properties(replay_${stem} PROPERTIES LABELS fuzz-replay TIMEOUT 600)
    if(SEREUS_FUZZ)
      add_executable(${stem} "${source}")
      target_link_libraries(${stem} PRIVATE sereus_test_flags sereus_node)
      target_link_options(${stem} PRIVATE -fsanitize=fuzzer)
      set_target_properties(${stem} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
    endif()
  endforeach()
endif()

if(SEREUS_BENCH)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/*.cc")
  if(sources)
    find_package(CLI11 REQUIRED)
    set(bench_main "${PROJECT_SOURCE_DIR}/bench/main.cc")
    list(REMOVE_ITEM sources "${bench_main}")
    # An object library, so that every benchmark's registration is linked.
    add_library(sereus_bench_parts OBJECT ${sources})
    target_link_libraries(sereus_bench_parts
      PRIVATE sereus_test_flags Sereus::wolfssl Sereus::sodium
      PUBLIC sereus_driver_posix)
    add_executable(sereus_bench "${bench_main}")
    # The command line parser throws; the benchmarks themselves are compiled like the core.
    target_link_libraries(sereus_bench PRIVATE sereus_flags sereus_bench_parts CLI11::CLI11)
    set_target_properties(sereus_bench PROPERTIES OUTPUT_NAME sereus-bench)
  endif()
endif()
