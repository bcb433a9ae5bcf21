// Which folders of the golden data hold checkpoints.
#pragma once

#include <string>
#include <vector>

namespace vlaserve {

// Golden folders that hold a checkpoint's JSON files, LeRobot's or openpi's; sorted.
std::vector<std::string> GoldenCheckpoints(bool lerobot);

// The openpi folder whose weights and statistics a LeRobot folder repeats: its name without
// "_lerobot". Empty if there is none.
std::string OpenpiTwin(const std::string& lerobot);

}  // namespace vlaserve
