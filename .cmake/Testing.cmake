# Test programs: Catch2 v2 (Debian 12) or v3, one program per folder of tests/.
find_package(Catch2 REQUIRED)
include(Catch)

if(NOT TARGET vlaserve_test_main)
  add_library(vlaserve_test_main STATIC ${CMAKE_SOURCE_DIR}/tests/support/main.cpp)
  # Catch2's own code: nothing gained by optimising it, a minute lost with sanitizers.
  target_compile_options(vlaserve_test_main PRIVATE -O0)
  target_link_libraries(vlaserve_test_main PUBLIC vlaserve_settings Catch2::Catch2)
  target_compile_definitions(vlaserve_test_main PUBLIC
    VLASERVE_CATCH2_MAJOR=${Catch2_VERSION_MAJOR}
    VLASERVE_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    VLASERVE_DEFAULT_GOLDEN_DIR="${CMAKE_SOURCE_DIR}/tests/golden")
endif()

# vlaserve_test(NAME SOURCES... LINK targets...): a Catch2 program whose cases become ctest tests
# with the prefix "NAME: ".
function(vlaserve_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE vlaserve_test_main ${ARG_LINK})
  # Assertions take long to optimise; what they test is built as it is used.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  catch_discover_tests(${name} TEST_PREFIX "${name}: " PROPERTIES TIMEOUT 600)
endfunction()
