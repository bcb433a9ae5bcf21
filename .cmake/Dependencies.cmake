# Third-party packages. Debian's packages except LibTorch, which docker/setup.sh puts into .deps/.
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(PNG REQUIRED)
find_package(JPEG REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(Protobuf 3.21 REQUIRED)
find_package(gRPC 1.51 CONFIG REQUIRED)

# PCRE2 (8 bit); Debian's package has no CMake config.
find_path(PCRE2_INCLUDE pcre2.h)
find_library(PCRE2_LIBRARY pcre2-8)
if(NOT PCRE2_INCLUDE OR NOT PCRE2_LIBRARY)
  message(FATAL_ERROR "PCRE2 not found. Run docker/setup.sh, or install libpcre2-dev.")
endif()
add_library(vlaserve_pcre2 INTERFACE)
target_include_directories(vlaserve_pcre2 SYSTEM INTERFACE ${PCRE2_INCLUDE})
target_link_libraries(vlaserve_pcre2 INTERFACE ${PCRE2_LIBRARY})

# LibTorch: a folder that holds include/ and lib/ (the official zip, a wheel's torch/ folder, or a
# folder that such a wheel was installed into). Its package config insists on a CUDA toolkit for
# CUDA wheels, so the target is defined here from the two libraries that a CPU build needs.
if(VLASERVE_LIBTORCH_TARGETS)
  set(VLASERVE_LIBTORCH "$ENV{VLASERVE_LIBTORCH}" CACHE PATH "LibTorch folder; empty: .deps/torch")
  set(libtorch_candidates ${VLASERVE_LIBTORCH} ${VLASERVE_LIBTORCH}/torch)
  if(NOT VLASERVE_LIBTORCH)
    set(libtorch_candidates ${CMAKE_SOURCE_DIR}/.deps/torch/torch)
  endif()
  find_path(LIBTORCH_INCLUDE torch/csrc/jit/api/module.h PATHS ${libtorch_candidates}
    PATH_SUFFIXES include NO_DEFAULT_PATH)
  find_library(LIBTORCH_CPU torch_cpu PATHS ${libtorch_candidates} PATH_SUFFIXES lib NO_DEFAULT_PATH)
  find_library(LIBTORCH_C10 c10 PATHS ${libtorch_candidates} PATH_SUFFIXES lib NO_DEFAULT_PATH)
  if(NOT LIBTORCH_INCLUDE OR NOT LIBTORCH_CPU OR NOT LIBTORCH_C10)
    message(FATAL_ERROR "LibTorch not found in: ${libtorch_candidates}. "
      "Run docker/setup.sh, or point VLASERVE_LIBTORCH at a folder with include/ and lib/.")
  endif()

  add_library(vlaserve_libtorch INTERFACE)
  # -idirafter: LibTorch ships protobuf and fmt headers that must never win over Debian's.
  target_compile_options(vlaserve_libtorch INTERFACE
    "SHELL:-idirafter ${LIBTORCH_INCLUDE}"
    "SHELL:-idirafter ${LIBTORCH_INCLUDE}/torch/csrc/api/include")
  # LibTorch's own OpenMP library, by its path: another one beside it would have other threads.
  get_filename_component(libtorch_folder ${LIBTORCH_CPU} DIRECTORY)
  file(GLOB libtorch_openmp ${libtorch_folder}/libgomp*.so*)
  if(NOT libtorch_openmp)
    set(libtorch_openmp gomp)
  endif()
  target_link_libraries(vlaserve_libtorch INTERFACE ${LIBTORCH_CPU} ${LIBTORCH_C10} ${libtorch_openmp}
    Threads::Threads)
endif()

# vlaserve_parallel_sources(SOURCES...): sources that call at::parallel_for. It is a template that
# without this option runs everything on the calling thread. (For all sources it would be one more
# precompiled header, hence no property of the target.)
function(vlaserve_parallel_sources)
  set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS -fopenmp)
  set_property(SOURCE ${ARGN} PROPERTY SKIP_PRECOMPILE_HEADERS ON)
endfunction()

# A precompiled header for the few files that include LibTorch's JIT headers (13 s each without).
# Use: target_precompile_headers(<target> REUSE_FROM vlaserve_torch_pch).
if(VLASERVE_LIBTORCH_TARGETS)
  add_library(vlaserve_torch_pch STATIC ${CMAKE_SOURCE_DIR}/.cmake/torch_pch.cpp)
  target_link_libraries(vlaserve_torch_pch PUBLIC vlaserve_settings vlaserve_libtorch)
  target_precompile_headers(vlaserve_torch_pch PRIVATE <torch/script.h>)
endif()
