# Language level, warnings and sanitizers of all our own code.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(VLASERVE_CCACHE ccache)
if(VLASERVE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${VLASERVE_CCACHE})
endif()

add_library(vlaserve_settings INTERFACE)
target_include_directories(vlaserve_settings INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_options(vlaserve_settings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror>)

# Sanitizers apply to the whole build, generated code included: their run-time libraries must see
# every object.
if(VLASERVE_SANITIZE)
  # -O1: instrumented code takes g++ several times as long at -O2.
  add_compile_options(-O1 -g1 -fsanitize=${VLASERVE_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${VLASERVE_SANITIZE})
  if(VLASERVE_SANITIZE MATCHES undefined)
    # The vptr check opens a pipe to look at an object; a test that uses up all file descriptors on
    # purpose would see every object fail.
    add_compile_options(-fno-sanitize=vptr)
  endif()
  # The instrumentation makes g++ 12 see uninitialised values in library headers that have none.
  target_compile_options(vlaserve_settings INTERFACE -Wno-maybe-uninitialized)
endif()

# vlaserve_library(NAME SOURCES... [LINK targets...]): a static library of our own code.
function(vlaserve_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC vlaserve_settings ${ARG_LINK})
endfunction()
