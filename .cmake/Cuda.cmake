# nvcc from the PATH, /usr/local/cuda, or .deps/cuda (docker/setup.sh --cuda).
find_program(VLASERVE_NVCC nvcc
  PATHS /usr/local/cuda/bin ${CMAKE_SOURCE_DIR}/.deps/cuda/nvidia/cu13/bin)
if(NOT VLASERVE_NVCC)
  message(FATAL_ERROR "VLASERVE_CUDA=ON needs nvcc; run docker/setup.sh --cuda.")
endif()
set(CMAKE_CUDA_COMPILER ${VLASERVE_NVCC})
set(CMAKE_CUDA_STANDARD 17)
if(NOT CMAKE_CUDA_ARCHITECTURES)
  # Ampere, Ada, Hopper; PTX of the last one for what comes later.
  set(CMAKE_CUDA_ARCHITECTURES 80-real 86-real 89-real 90-real 90-virtual)
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
