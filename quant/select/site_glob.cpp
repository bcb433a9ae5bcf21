#include "quant/select/site_glob.h"

namespace vlaserve {
namespace {

// Takes the part up to the next dot off `text`.
std::string_view TakePart(std::string_view& text, bool& more) {
  const size_t dot = text.find('.');
  const std::string_view part = text.substr(0, dot);
  more = dot != std::string_view::npos;
  text.remove_prefix(more ? dot + 1 : text.size());
  return part;
}

// One part against one part: the text between stars must follow in order, its ends at the ends.
bool MatchesPart(std::string_view glob, std::string_view part) {
  size_t star = glob.find('*');
  if (star == std::string_view::npos) return glob == part;
  if (!part.starts_with(glob.substr(0, star))) return false;
  part.remove_prefix(star);
  for (glob.remove_prefix(star + 1); (star = glob.find('*')) != std::string_view::npos;
       glob.remove_prefix(star + 1)) {
    const size_t found = part.find(glob.substr(0, star));
    if (found == std::string_view::npos) return false;
    part.remove_prefix(found + star);
  }
  return part.ends_with(glob);
}

}  // namespace

bool MatchesSite(std::string_view glob, std::string_view site) {
  bool more_glob = true;
  bool more_site = true;
  while (more_glob && more_site) {
    const std::string_view part = TakePart(glob, more_glob);
    if (part == "*" && !more_glob) return true;
    if (!MatchesPart(part, TakePart(site, more_site))) return false;
  }
  return more_glob == more_site;
}

}  // namespace vlaserve
