// Which sites a glob of `quant.sites` means.
#pragma once

#include <string_view>

namespace vlaserve {

// `*` stands for any characters within one part of a site name ("llm.*.down"); a last part that is
// `*` alone stands for all that follows ("expert.*" is every site of the expert). Everything else
// stands for itself.
bool MatchesSite(std::string_view glob, std::string_view site);

}  // namespace vlaserve
