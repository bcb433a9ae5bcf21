// Exit codes of all subcommands but `health`; scripts rely on them.
#pragma once

#include <string_view>

#include "model/io/status.h"

namespace vlaserve {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,     // ran and found a failure: a check above its tolerance, a refused request
  kExitUsage = 2,       // wrong arguments or configuration
  kExitUnreadable = 3,  // archive, checkpoint or another input missing or damaged
  kExitBind = 4,        // the server cannot listen on its address
  kExitDevice = 5,      // the compute device is missing or failed
};

// What was being done, where the kind of failure alone does not decide.
enum class ExitContext {
  kGeneral,
  kBind,  // kUnavailable means that the address cannot be bound
};

// kExitOk for an ok status.
int ExitCodeFor(const Status& status, ExitContext context = ExitContext::kGeneral);

// Prints "vlaserve <command>: <field>: <message>" to standard error (no field if there is none) and
// returns ExitCodeFor. Precondition: not ok.
int Fail(std::string_view command, const Status& status,
         ExitContext context = ExitContext::kGeneral);

}  // namespace vlaserve
