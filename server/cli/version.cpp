#include "server/cli/version.h"

#include "kernels/device.h"
#include "model/policy/runtime.h"
#include "server/cli/git_commit.h"

namespace vlaserve {
namespace {

std::string InstructionSets() {
#if defined(__x86_64__)
  std::string sets = "x86-64";
  if (__builtin_cpu_supports("avx2") != 0) sets += " avx2";
  if (__builtin_cpu_supports("fma") != 0) sets += " fma";
  if (__builtin_cpu_supports("avx512f") != 0) sets += " avx512f";
  if (__builtin_cpu_supports("avx512vnni") != 0) sets += " avx512_vnni";
  return sets;
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "unknown";
#endif
}

}  // namespace

const char* Version() { return VLASERVE_VERSION; }

std::string VersionText() {
  return std::string("vlaserve ") + Version() +                       //
         "\ncommit " + kGitCommit +                                   //
         "\nbuild " + VLASERVE_BUILD_TYPE + ", g++ " + __VERSION__ +  //
         "\nlibtorch " + LibtorchVersion() +                          //
         "\ncuda " + (kernels::BuiltWithCuda() ? "yes" : "no") +      //
         "\nisa " + InstructionSets();
}

}  // namespace vlaserve
