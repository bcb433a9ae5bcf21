// What exactly this program is.
#pragma once

#include <string>

namespace vlaserve {

// "0.1.0".
const char* Version();

// `vlaserve --version`: one "name value" line each for version, git commit, build type, compiler,
// LibTorch, CUDA and the instruction sets of this machine that matter; no newline at the end.
std::string VersionText();

}  // namespace vlaserve
