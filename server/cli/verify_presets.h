// `vlaserve layers --verify-presets`: every embedded preset against the number of layers that it
// must select of full-size models of both types.
#pragma once

namespace vlaserve {

// Prints a line per preset and type to standard output, with the bytes of the selected weights, and
// returns the exit code: kExitFailure if a
// count differs or a preset has none.
int VerifyPresets();

}  // namespace vlaserve
