# Writes OUTPUT, a header with the commit of SOURCE_DIR, when it has changed: run at every build, so
# that --version does not name the commit of the last configuration.
execute_process(COMMAND git -C ${SOURCE_DIR} rev-parse --short=12 HEAD
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "unknown")
else()
  execute_process(COMMAND git -C ${SOURCE_DIR} diff --quiet HEAD ERROR_QUIET RESULT_VARIABLE changed)
  if(changed)
    string(APPEND commit " with local changes")
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT
"// Generated.
#pragma once

namespace vlaserve {
inline constexpr const char* kGitCommit = \"${commit}\";
}  // namespace vlaserve
")
