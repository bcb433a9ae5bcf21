// How long-running work reports to the person who waits for it.
#pragma once

#include <functional>
#include <string_view>

namespace vlaserve {

// Takes one line of progress, without a newline. Called on the thread that does the work.
using ProgressSink = std::function<void(std::string_view)>;

}  // namespace vlaserve
